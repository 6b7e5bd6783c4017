"""`python -m fargate_lab.cloud.fidelity`: writes docs/fidelity.md, what the lab does and what not.

The actions and the rules are read from the code; only the differences are written by hand, below.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.ecs.rules import Rule
from fargate_lab.cloud.ecs.rules_register import FARGATE_RULES, RULES
from fargate_lab.cloud.ecs.run_task_absent import CONTAINER, VOLUME
from fargate_lab.cloud.services import SERVICES, make_service
from fargate_lab.cloud.store import Store
from fargate_lab.facts import fact, facts
from fargate_lab.paths import repo_root

DIFFERENCES = {
    "Addresses": "A task's private and public address are the address at which this machine "
    "reaches it (127.x.y.z, or the Docker bridge's), not one of the subnet's range. Security "
    "groups, routes and NAT are recorded and do not filter.",
    "Time": "States follow one another at machine speed. A container's health is probed at once "
    "and then at growing distances until the first success; AWS waits one interval.",
    "Signatures": "The credential scope of a request is read, its signature is not verified. An "
    "access key of twelve digits is an account of its own; any other belongs to 123456789012.",
    "Roles": "The agent and the containers are not held to the policies of the execution role and "
    "the task role. Containers of a task with a task role get working credentials of the lab.",
    "Repository URIs": "They begin with 127.0.0.1 and the cloud's port, so that Docker can push. "
    "The form ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME in a task definition means the same "
    "repository here.",
    "Restart": "Repositories, images, clusters, task definitions and tasks are on disk. What moto "
    "keeps (roles, networks, logs, buckets, queues, secrets) is in memory and ends with the cloud; "
    "the next start says so. Tasks of a cloud that ended are STOPPED with a reason.",
    "Process runtime": "Containers are processes of this machine. Memory is guarded, CPU is not "
    "limited; user, read-only root, ulimits and capabilities are not applied; programs other than "
    "Python see this machine's files. On macOS and Windows tasks share one address and ports are "
    "mapped, and native packages are the lab's own copies of the same version.",
    "Docker runtime": "CPU and memory are limited for each container, not for the sum of a task.",
    "Storage": "Ephemeral storage has the size of this machine's disk.",
    "Scans": "Findings come from the metadata of Python packages in the layers and a bundled list "
    "of advisories, not from the operating system's packages.",
    "Lifecycle policies": "They expire images when the policy is put, when an image arrives, and "
    "as time passes. Transition to an archive is refused.",
    "Order of rules": "Where a request breaks several rules, AWS's choice of the one to report is "
    "known only in part; the lab goes from form to meaning to Fargate.",
}
"""What differs from AWS, by subject."""


def document() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# What is like AWS here, and what is not"
    yield ""
    yield "Made by `python -m fargate_lab.cloud.fidelity` from the code; a test holds it to that."
    yield ""
    yield "## What differs"
    yield ""
    for subject, text in DIFFERENCES.items():
        yield f"- **{subject}.** {text}"
    yield ""
    yield "## Refused, because the lab could only pretend"
    yield ""
    features = ", ".join([*CONTAINER, *VOLUME])
    yield f"RunTask refuses task definitions with: {features}, a proxy configuration."
    yield from _actions()
    yield ""
    yield "## Rules of RegisterTaskDefinition"
    yield ""
    yield "In the order in which they are checked. *Known from* says how AWS's text is known."
    yield from _rules("For every task definition", RULES)
    yield from _rules("For Fargate besides", FARGATE_RULES)
    yield ""
    yield "## Refusals of RunTask"
    yield ""
    yield "| text | code | known from | as of |"
    yield "|---|---|---|---|"
    for message in facts("messages.run_task"):
        yield _row(message.id)


def _actions() -> Iterator[str]:
    """The actions of the lab's own services; making a service starts nothing."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "cloud.sqlite")
        context = CloudContext(Path(folder), Path(folder), store, 0, "process", "")
        try:
            for target in SERVICES:
                service = make_service(target, context)
                yield ""
                yield f"## Actions of {service.name.upper()} that are the lab's own"
                yield ""
                yield ", ".join(f"`{name}`" for name in sorted(service.actions)) + "."
                yield ""
                yield "Every other action of this service is refused in plain words."
        finally:
            store.close()
    yield ""
    yield (
        "Every other service is moto's, unchanged: it keeps what it is told and answers from that. "
        "What is made there (a Lambda function, a database) does not run."
    )


def _rules(title: str, rules: tuple[Rule, ...]) -> Iterator[str]:
    yield ""
    yield f"### {title}"
    yield ""
    yield "| text | code | known from | as of |"
    yield "|---|---|---|---|"
    for name in dict.fromkeys(rule.fact for rule in rules):
        yield _row(name)


def _row(name: str) -> str:
    message = fact(name)
    text = str(message.value).replace("|", "\\|")
    return f"| {text} | {message.code or ''} | {message.confidence} | {message.as_of} |"


def main() -> None:
    """Write the page."""
    (repo_root() / "docs" / "fidelity.md").write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()

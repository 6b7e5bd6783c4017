"""The session object: refusals, the diagram, addresses of tasks, the clean-up."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from fargate_lab.lesson import backend, names, prepare, session
from fargate_lab.lesson.backend import Backend
from fargate_lab.lesson.errors import LabError
from fargate_lab.lesson.session import Lab
from fargate_lab.paths import state_dir

EMPTY = (
    "image: not yet → ECR: not yet → task definition: not yet → cluster: not yet → task: not yet"
)


def test_a_refusal_of_aws_is_printed(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    with lab.refused():
        boto3.client("ecs").delete_cluster(cluster="nowhere")
    assert capsys.readouterr().out == "ClusterNotFoundException: Cluster not found.\n"


def test_a_refusal_of_boto3_is_printed(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    with lab.refused():
        boto3.client("ecs").create_cluster(clusterName=7)
    assert capsys.readouterr().out.startswith("ParamValidationError: Parameter validation failed")


def test_a_refusal_of_the_lab_is_printed_in_lines(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    with lab.refused():
        raise LabError("word " * 50)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_what_is_accepted_against_expectation_is_told(lab: Lab) -> None:
    with pytest.raises(LabError, match="expected to be refused, and was accepted"), lab.refused():
        pass


def test_other_errors_are_not_swallowed(lab: Lab) -> None:
    with pytest.raises(ZeroDivisionError), lab.refused():
        raise ZeroDivisionError


def test_an_empty_account_is_drawn_as_not_yet(lab: Lab) -> None:
    drawn = lab.diagram()
    assert repr(drawn) == EMPTY
    assert drawn._repr_svg_().count('stroke-dasharray="5 4"') == 5


def test_the_diagram_fills_in_from_the_account(lab: Lab) -> None:
    layout = state_dir() / "images" / names.IMAGE
    layout.mkdir(parents=True)
    (layout / "index.json").write_text(json.dumps({"manifests": []}), encoding="utf-8")
    prepare.roles(lab)
    prepare.task_definition(lab)
    prepare.cluster(lab)
    drawn = lab.diagram()
    assert repr(drawn) == (
        "image: inkdigits → ECR: not yet → task definition: inkdigits:1 → cluster: fargate-lab → "
        "task: not yet"
    )
    assert repr(lab.diagram("resources")) == (
        "dependencies: not yet → storage: not yet → resources: 0.25 vCPU, 512 MiB → "
        "auto scaling: not yet"
    )


def test_an_empty_repository_holds_no_image_yet(lab: Lab) -> None:
    boto3.client("ecr").create_repository(repositoryName=names.REPOSITORY)
    assert repr(lab.diagram()) == EMPTY


def test_the_diagram_is_a_picture_with_words_for_those_who_do_not_see_it(lab: Lab) -> None:
    drawn = lab.diagram()
    svg = ElementTree.fromstring(drawn._repr_svg_())
    assert svg[0].text == EMPTY
    assert f'alt="{EMPTY}"' in drawn._repr_html_()


def test_an_unknown_flow_is_answered_with_the_known_ones(lab: Lab) -> None:
    with pytest.raises(LabError, match="no flow 'money'; choose one of deployment, resources"):
        lab.diagram("money")


def test_the_machine_says_what_it_is_not(lab: Lab) -> None:
    text = repr(lab.machine())
    assert f"AWS calls go to  {lab.backend.url}, Region us-east-1" in text
    assert "plain processes of this machine" in text
    assert "unlike Fargate" in text


def test_on_aws_the_machine_names_the_account() -> None:
    aws = Lab(0, Backend("aws", "111122223333", "eu-west-1", "fargate"))
    text = repr(aws.machine())
    assert "AWS, account 111122223333, Region eu-west-1" in text
    assert "unlike Fargate" not in text


def test_a_task_that_does_not_run_has_no_address(lab: Lab) -> None:
    with pytest.raises(LabError, match="The task is STOPPED; it has an address while RUNNING"):
        lab.url({"lastStatus": "STOPPED", "taskArn": "x/y"})


def test_a_port_is_waited_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [None, None, {"url": "http://127.1.2.3:8080"}]
    asked: list[str] = []

    def ask(cloud: str | None, path: str) -> Any:
        asked.append(path)
        return answers.pop(0)

    monkeypatch.setattr(session, "ask", ask)
    running = {"lastStatus": "RUNNING", "taskArn": "arn:aws:ecs:r:a:task/c/1234"}
    assert lab.url(running) == "http://127.1.2.3:8080"
    assert asked == ["/_lab/tasks/1234/address?port=8080"] * 3


def test_a_port_that_nobody_opens_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LISTEN_SECONDS", 0.2)
    running = {"lastStatus": "RUNNING", "taskArn": f"arn:aws:ecs:r:a:task/c/{'0' * 32}"}
    with pytest.raises(LabError, match="Nothing listens at port 9999 of this task"):
        lab.url(running, 9999)


def test_the_clean_up_removes_what_the_chapters_make(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    ecs, ecr, ec2 = (boto3.client(name) for name in ("ecs", "ecr", "ec2"))
    prepare.roles(lab)
    prepare.log_group(lab)
    prepare.task_definition(lab)
    prepare.cluster(lab)
    prepare.network(lab)
    ecr.create_repository(repositoryName=names.REPOSITORY)
    ecs.create_cluster(clusterName="somebody-elses")
    lab.teardown()
    assert capsys.readouterr().out == (
        "Removed: cluster fargate-lab; 1 task definition revisions; repository inkdigits; "
        "log group /ecs/inkdigits; security group inkdigits-web; role inkdigits-execution; "
        "role inkdigits-task.\n"
    )
    assert [a.rsplit("/")[-1] for a in ecs.list_clusters()["clusterArns"]] == ["somebody-elses"]
    assert ecs.list_task_definitions()["taskDefinitionArns"] == []
    assert boto3.client("iam").list_roles()["Roles"] == []
    groups = ec2.describe_security_groups()["SecurityGroups"]
    assert [g["GroupName"] for g in groups] == ["default"]
    with pytest.raises(ClientError, match="RepositoryNotFoundException"):
        ecr.describe_images(repositoryName=names.REPOSITORY)
    lab.teardown()
    assert capsys.readouterr().out == "Removed: nothing was there.\n"


def test_the_network_is_made_once(lab: Lab) -> None:
    first = prepare.network(lab)
    assert prepare.network(lab) == first
    group = first["awsvpcConfiguration"]["securityGroups"]
    rules = boto3.client("ec2").describe_security_groups(GroupIds=group)["SecurityGroups"][0]
    assert [(r["FromPort"], r["ToPort"]) for r in rules["IpPermissions"]] == [(8080, 8080)]
    assert len(first["awsvpcConfiguration"]["subnets"]) == 2


def test_a_chapter_opened_first_finds_what_earlier_ones_leave(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []
    steps = tuple(
        prepare.Step(n, f"thing {n}", lambda _, n=n: made.append(str(n)) is None) for n in (2, 4, 5)
    )
    monkeypatch.setattr(prepare, "STEPS", steps)
    monkeypatch.setattr(backend, "choose", lambda runtime: lab.backend)
    session.open_chapter(5)
    assert made == ["2", "4"]
    assert "Made what earlier chapters would have left: thing 2; thing 4." in (
        capsys.readouterr().out
    )


def test_a_diagram_or_a_teardown_without_a_cloud_is_told_plainly(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as gone:
        gone.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        gone.setenv("AWS_MAX_ATTEMPTS", "1")
        gone.setattr(boto3, "DEFAULT_SESSION", boto3.session.Session())
        for call in (lab.diagram, lab.teardown):
            with pytest.raises(LabError, match="Run the chapter's first cell again"):
                call()

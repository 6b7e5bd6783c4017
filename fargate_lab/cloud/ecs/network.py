"""A task's network interface: in the task's description and in EC2."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import uuid
from typing import Any

from fargate_lab.cloud import bridge

_lock = threading.Lock()


def precreated(subnet: str) -> dict[str, Any]:
    """The attachment as RunTask answers it: asked for, not there yet."""
    return {
        "id": str(uuid.uuid4()),
        "type": "ElasticNetworkInterface",
        "status": "PRECREATED",
        "details": [{"name": "subnetId", "value": subnet}],
    }


def attach(
    account: str,
    region: str,
    *,
    task_arn: str,
    attachment: dict[str, Any],
    address: str,
    groups: tuple[str, ...],
    public: bool,
) -> dict[str, Any]:
    """Make the interface in EC2; the attachment with its details.

    Its private address, and its public one where asked for, is the address at which this machine
    reaches the task: on AWS two addresses, the private one from the subnet's range.
    """
    subnet = attachment["details"][0]["value"]
    ec2 = bridge.backend("ec2", account, region)
    with _lock:
        interface = ec2.create_network_interface(
            ec2.get_subnet(subnet),
            [address],
            group_ids=list(groups),
            description=f"arn:aws:ecs:{region}:{account}:attachment/{attachment['id']}",
            tags={"aws:ecs:task": task_arn},
        )
        interface.status = "in-use"
        interface.mac_address = _mac(address)
        if public:
            interface.public_ip = address
    return {**attachment, "status": "ATTACHED", "details": _details(interface, subnet, address)}


def _details(interface: Any, subnet: str, address: str) -> list[dict[str, str]]:
    details = [
        ("subnetId", subnet),
        ("networkInterfaceId", interface.id),
        ("macAddress", interface.mac_address),
        ("privateDnsName", getattr(interface, "private_dns_name", None)),
        ("privateIPv4Address", address),
    ]
    return [{"name": name, "value": value} for name, value in details if value]


def detail(attachment: dict[str, Any], name: str) -> str | None:
    """One detail of an attachment."""
    return next((d["value"] for d in attachment["details"] if d["name"] == name), None)


def detach(account: str, region: str, attachment: dict[str, Any]) -> dict[str, Any]:
    """Remove the interface from EC2; the attachment as DELETED."""
    name = detail(attachment, "networkInterfaceId")
    if name is not None:
        # After a restart of the cloud EC2 has forgotten it already.
        with contextlib.suppress(Exception), _lock:
            bridge.backend("ec2", account, region).delete_network_interface(name)
    return {**attachment, "status": "DELETED"}


def _mac(address: str) -> str:
    # Locally administered, and the same for the same address.
    digest = hashlib.sha256(address.encode()).hexdigest()
    return "02:" + ":".join(digest[i : i + 2] for i in range(0, 10, 2))

"""The exports that point a shell's AWS clients at the lab, in that shell's own syntax."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

REDIRECTING = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def stray(environ: Mapping[str, str]) -> list[str]:
    """Set variables that would lead a client past `AWS_ENDPOINT_URL` or spoil the credentials.

    A service's own endpoint (`AWS_ENDPOINT_URL_ECS`) wins over the general one: AWS SDKs and Tools
    Reference Guide, "Service-specific endpoints".
    """
    return sorted(n for n in environ if n in REDIRECTING or n.startswith("AWS_ENDPOINT_URL_"))


def unproxied(environ: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY with this machine in it, where a proxy is set that would get the lab's calls."""
    if not any(environ.get(name) for name in environ if name.lower() in PROXIES):
        return {}
    hosts = [h for name in ("NO_PROXY", "no_proxy") for h in environ.get(name, "").split(",") if h]
    value = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost"]))
    return {"NO_PROXY": value, "no_proxy": value}


def exports(values: Mapping[str, str], shell: str, *, unset: list[str] | None = None) -> str:
    """Lines for `shell` (bash, powershell, cmd, fish) that set `values` and remove `unset`."""
    setter, remover = {
        "bash": (_bash, "unset {}"),
        "powershell": (_powershell, "Remove-Item Env:{} -ErrorAction SilentlyContinue"),
        "cmd": (_cmd, "set {}="),
        "fish": (_fish, "set -e {}"),
    }[shell]
    lines = [remover.format(name) for name in unset or []]
    return "\n".join(lines + [setter(name, value) for name, value in values.items()])


def _bash(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _powershell(name: str, value: str) -> str:
    return f"$Env:{name} = '" + value.replace("'", "''") + "'"


def _cmd(name: str, value: str) -> str:
    # The quotes around the whole keep &, | and ^ literal; a lone % is doubled in a batch file.
    return f'set "{name}=' + value.replace("%", "%%") + '"'


def _fish(name: str, value: str) -> str:
    # Inside single quotes fish knows two escapes: \\ and \'.
    return f"set -gx {name} '" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

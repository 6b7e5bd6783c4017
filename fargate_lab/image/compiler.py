"""The program that compiles modules: run by the Python whose bytecode is wanted.

In: for each module a path and its source. Out: its .pyc (PEP 552, unchecked hash), or nothing when
it does not compile. Each is preceded by its length as four bytes, big-endian. It uses the standard
library alone and runs on any Python 3.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    del sys.path[0]  # this folder: its modules must not stand in for the library's

import marshal
from importlib.util import MAGIC_NUMBER, source_hash
from types import CodeType
from typing import IO, Any

#: PEP 552: bit 0, a hash in place of time and size; bit 1 unset, the source is not looked at.
_UNCHECKED_HASH = (1).to_bytes(4, "little")
_LENGTH = 4


def pyc(source: bytes, path: str) -> bytes:
    """The module's .pyc, whatever was compiled before it; b"" when it is no valid Python."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except Exception:  # templates, other versions' syntax, null bytes: left as source, as pip does
        return b""
    # marshal marks what may be referred to again by the object's reference count. A name that
    # the process happens to use elsewhere would be marked, and else not: so hold them all.
    held: list[Any] = []
    _hold(code, held)
    return MAGIC_NUMBER + _UNCHECKED_HASH + source_hash(source) + marshal.dumps(code)


def _hold(value: Any, held: list[Any]) -> None:
    held.append(value)
    if isinstance(value, (tuple, frozenset)):
        for part in value:
            _hold(part, held)
    elif isinstance(value, CodeType):
        names = (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars)
        for each in names:
            held.extend(each)
        held += [value.co_filename, value.co_name, getattr(value, "co_qualname", None)]
        for constant in value.co_consts:
            _hold(constant, held)


def read(stream: IO[bytes]) -> bytes | None:
    """The next field; None at the end."""
    length = stream.read(_LENGTH)
    return stream.read(int.from_bytes(length, "big")) if length else None


def field(data: bytes) -> bytes:
    """A field as it is sent."""
    return len(data).to_bytes(_LENGTH, "big") + data


def main() -> None:
    """Compile what comes in until it ends."""
    stream, out = sys.stdin.buffer, sys.stdout.buffer
    while (path := read(stream)) is not None:
        out.write(field(pyc(read(stream) or b"", path.decode("utf-8"))))


if __name__ == "__main__":
    main()

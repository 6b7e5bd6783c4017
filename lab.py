#!/usr/bin/env python3
# Every Python since 2.7 can read this file: an old one answers with a sentence, not a SyntaxError.
"""The one command of the lab: `python3 lab.py`, or `python3 lab.py --help` for the others.

It needs nothing but Python 3.11 or newer: the first run makes `.venv` and installs what
`requirements.lock` names.
"""

import os
import subprocess
import sys

OLDEST = (3, 11)


def newer_pythons():
    """The newest suitable Python on the PATH that starts, as a list of one name or none."""
    for minor in range(19, OLDEST[1] - 1, -1):
        name = "python3.{}".format(minor)
        try:
            with open(os.devnull, "w") as quiet:
                if subprocess.call([name, "-V"], stdout=quiet, stderr=quiet) == 0:
                    return [name]
        except OSError:
            continue
    return []


def refusal(version, others=()):
    """What to tell the owner of a Python of this version: None when it will do."""
    version = tuple(version)
    if version[:2] >= OLDEST:
        return None
    lines = [
        "The lab needs Python {}.{} or newer; this is Python {}.{}.".format(*OLDEST + version[:2]),
    ]
    if others:
        lines.append("This machine has a newer one:  {} lab.py".format(others[0]))
    else:
        lines.append("What to do: install a newer Python and run lab.py with it.")
        lines.append("  Debian, Ubuntu: apt install python3 python3-venv")
        lines.append("  macOS: brew install python    Windows: winget install Python.Python.3.12")
    lines.append("Nothing was changed.")
    return "\n".join(lines)


def main():
    """Check the Python, then let the package do the rest."""
    message = refusal(sys.version_info)
    if message:
        message = refusal(sys.version_info, newer_pythons())
        sys.stderr.write(message + "\n")
        return 1
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from fargate_lab.cli.bootstrap import main as bootstrap

    return bootstrap(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

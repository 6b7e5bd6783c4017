"""`python -m fargate_lab.cli`: where `lab.py` hands over to once the environment exists."""

from __future__ import annotations

import sys

from fargate_lab.cli.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

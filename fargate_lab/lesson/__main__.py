"""`python -m fargate_lab.lesson`: make the notebooks from solutions/src, or look for drift."""

from __future__ import annotations

import argparse
import sys

from nbclient.exceptions import CellExecutionError

from fargate_lab.lesson.errors import LabError
from fargate_lab.lesson.release import drift, release


def main(arguments: list[str] | None = None) -> int:
    """0 when all is made (or in step), 1 with what is wrong otherwise."""
    parser = argparse.ArgumentParser(prog="python -m fargate_lab.lesson", description=__doc__)
    parser.add_argument("chapters", nargs="*", help="chapter numbers, such as 03; none means all")
    parser.add_argument("--check", action="store_true", help="only say what has drifted")
    parser.add_argument("--blank-only", action="store_true", help="write notebooks/ alone")
    options = parser.parse_args(arguments)
    if options.check:
        found = drift()
        print("\n".join(found) or "solutions/ and notebooks/ are what solutions/src makes.")
        return 1 if found else 0
    try:
        written = release(
            [c.zfill(2) for c in options.chapters],
            run=not options.blank_only,
            say=lambda line: print(line, flush=True),
        )
    except CellExecutionError as error:
        print(f"A cell failed; nothing of this chapter was replaced.\n{error}", file=sys.stderr)
        return 1
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(written)} notebooks written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python3 -m app serve|batch|function|health`: the image's entry point."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the image's roles; its exit code is returned.

    Each role is imported only when asked for: a health check must not load a model.
    """
    parser = argparse.ArgumentParser(prog="python3 -m app", description=__doc__)
    roles = parser.add_subparsers(dest="role", required=True)
    roles.add_parser("serve", help="HTTP on $HOST:$PORT (default 0.0.0.0:8080)")
    batch = roles.add_parser("batch", help="work off the SQS queue $QUEUE_URL")
    batch.add_argument("--drain", action="store_true", help="exit 0 once the queue stays empty")
    roles.add_parser("function", help="AWS Lambda's runtime client around app.function.handler")
    roles.add_parser("health", help="exit 0 if http://127.0.0.1:$PORT/healthz answers 200")
    options = parser.parse_args(arguments)
    if options.role == "health":
        from app import health

        return health.check()
    if options.role == "batch":
        from app import batch as worker

        return worker.run(drain=options.drain)
    if options.role == "function":
        from app import function

        return function.run()
    from app import serve

    return serve.run()


if __name__ == "__main__":
    sys.exit(main())

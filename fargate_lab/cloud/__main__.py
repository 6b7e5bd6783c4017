"""`python -m fargate_lab.cloud`: the cloud's server in the foreground."""

from __future__ import annotations

import argparse
import logging
import secrets
import socket
import sys
from pathlib import Path

import uvicorn

from fargate_lab.cloud.context import CloudContext
from fargate_lab.cloud.process import (
    RUNTIMES,
    CloudError,
    bind,
    describe,
    find,
    info_path,
    write_info,
)
from fargate_lab.cloud.server import Cloud
from fargate_lab.cloud.statelock import StateLock
from fargate_lab.cloud.store import Store, StoreError
from fargate_lab.paths import cache_dir, state_dir

KEPT_KINDS = ("cluster", "task_definition", "repository")
"""Kinds of document that say that somebody worked in a state folder before."""


class Server(uvicorn.Server):
    """Publishes `cloud.json` once requests are answered."""

    def __init__(self, config: uvicorn.Config, context: CloudContext) -> None:
        super().__init__(config)
        self.context = context
        self.resumed = any(context.store.scopes(kind) for kind in KEPT_KINDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, then say so."""
        await super().startup(sockets=sockets)
        if self.started:
            write_info(
                describe(
                    self.context.port,
                    self.context.runtime,
                    self.context.token,
                    self.context.state_dir,
                    resumed=self.resumed,
                )
            )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to answer, and say so: uvicorn ends the process by the signal that stopped it."""
        await super().shutdown(sockets=sockets)
        info_path(self.context.state_dir).unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped. The exit code is 0 after a clean stop, 1 with a message otherwise."""
    parser = argparse.ArgumentParser(prog="python -m fargate_lab.cloud", description=__doc__)
    parser.add_argument("--state-dir", type=Path, default=state_dir())
    parser.add_argument("--port", type=int)
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    folder: Path = options.state_dir.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with StateLock(folder):
            return serve(folder, options.port, options.runtime)
    except (CloudError, StoreError) as error:
        print(f"cloud: {error}", file=sys.stderr)
    except OSError as error:
        print(f"cloud: The state folder {folder} cannot be used ({error}).", file=sys.stderr)
    return 0 if find(folder) else 1


def serve(folder: Path, port: int | None, runtime: str) -> int:
    """Answer requests until told to stop."""
    listener = bind(port)
    context = CloudContext(
        state_dir=folder,
        cache_dir=cache_dir(),
        store=Store(folder / "cloud.sqlite"),
        port=listener.getsockname()[1],
        runtime=runtime,
        token=secrets.token_hex(16),
    )
    cloud = Cloud(context)
    config = uvicorn.Config(
        cloud,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    server = Server(config, context)

    def stop() -> None:
        server.should_exit = True

    cloud.on_stop = stop
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
        info_path(folder).unlink(missing_ok=True)
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())

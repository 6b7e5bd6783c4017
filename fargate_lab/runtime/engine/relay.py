"""A way from containers to the cloud, which itself listens on 127.0.0.1 only."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Passes connections at an address of the engine's bridge on to 127.0.0.1.

    Open while the driver is; only containers of that bridge and this machine can reach it.
    """

    def __init__(self, address: str, target_port: int) -> None:
        """Raises OSError where the bridge is not of this machine (a virtual or remote engine)."""
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server((address, 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def close(self) -> None:
        """Accept nothing more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            cloud = socket.create_connection(self._target, timeout=10)
        except OSError:
            client.close()
            return
        cloud.settimeout(None)
        with client, cloud:
            back = threading.Thread(target=_copy, args=(cloud, client), daemon=True)
            back.start()
            _copy(client, cloud)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)

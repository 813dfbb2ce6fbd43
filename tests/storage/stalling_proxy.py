"""A TCP proxy that can stop forwarding, as a frozen server or a dead network does."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class StallingProxy:
    """Always accepts connections. While `stalled` is set, no byte passes in either direction."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.stalled = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._forward, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _forward(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._listening, selectors.EVENT_READ)
            while not self._closed.is_set():
                if self.stalled.wait(0.0):
                    self._closed.wait(0.02)
                    continue
                for key, _ in ready.select(0.02):
                    self._handle(ready, key)
            for key in list(ready.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]

    def _handle(self, ready: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._listening:
            client, _ = self._listening.accept()
            server = socket.create_connection(self._target)
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            return
        source: socket.socket = key.fileobj  # type: ignore[assignment]
        if source.fileno() < 0:  # closed with its other end, a moment ago
            return
        try:
            data = source.recv(65_536)
            if data:
                key.data.sendall(data)
                return
        except OSError:
            pass
        for end in (source, key.data):
            ready.unregister(end)
            end.close()


@contextmanager
def stalling_proxy(host: str, port: int) -> Iterator[StallingProxy]:
    proxy = StallingProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()

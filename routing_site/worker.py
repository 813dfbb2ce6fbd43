"""gunicorn's threaded worker, with less passing around of busy connections."""

import select
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

LINGER_SECONDS = 0.005


class LingeringWorker(ThreadWorker):
    """A thread that has answered waits a moment for the connection's next request.

    Otherwise the connection goes back to the poller's thread and comes from there to a thread
    again, which costs a quarter of a decision. When other connections wait for a thread, or the
    worker stops, nobody lingers.
    """

    def handle(self, conn: Any) -> Any:
        kept = super().handle(conn)
        while kept is True and self._may_linger(conn) and _is_readable(conn.sock):
            kept = super().handle(conn)
        return kept

    def _may_linger(self, conn: Any) -> bool:
        idle = self.tpool._work_queue.empty()  # the pool does not tell otherwise
        return self.alive and idle and not conn.is_http2 and not self.cfg.is_ssl


def _is_readable(sock: Any) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(LINGER_SECONDS * 1000))

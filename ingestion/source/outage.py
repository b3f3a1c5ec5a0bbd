"""Reports that PostgreSQL is down, and that it is back, once for all sessions."""

import threading
import time

from rich.markup import escape

from ingestion.progress import err


class Outage:
    """The shared state of an outage of PostgreSQL, which each session reports."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None
        self._ended = 0.0

    def begin(self, reason: str, connected_at: float) -> None:
        """A connection made at ``connected_at`` is lost."""
        with self._lock:
            # A session may notice the outage after it has ended.
            if self._since is None and connected_at >= self._ended:
                self._since = time.monotonic()
                message = f"PostgreSQL is down ({escape(reason)}); waiting until it is back"
                err.print(message, soft_wrap=True)

    def end(self) -> None:
        """A connection is made."""
        with self._lock:
            if self._since is not None:
                self._ended = time.monotonic()
                err.print(f"PostgreSQL is back after {self._ended - self._since:.1f} s; continuing")
                self._since = None

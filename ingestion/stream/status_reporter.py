"""Reports that something fails, and that it has recovered: each once."""

import threading
from collections.abc import Callable

WriteLogLine = Callable[[str], None]  # takes one line for the log


class StatusReporter:
    """Reports the failures of one service; safe to use from any thread.

    A failure is reported when ``patience`` tries in a row have failed.
    """

    def __init__(
        self, report: WriteLogLine, failed: str, recovered: str, *, patience: int = 1
    ) -> None:
        self._report, self._failed, self._recovered = report, failed, recovered
        self._patience = patience
        self._lock = threading.Lock()
        self._reported = False

    def failed(self, why: str = "", tries: int = 1) -> None:
        """Record that the service failed, the last ``tries`` times in a row."""
        with self._lock:
            if not self._reported and tries >= self._patience:
                self._reported = True
                self._report(f"{self._failed}: {why}" if why else self._failed)

    def works(self) -> None:
        """Record that the service works."""
        with self._lock:
            if self._reported:
                self._reported = False
                self._report(self._recovered)

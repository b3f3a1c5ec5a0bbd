"""Reports that something fails, and that it has recovered: each once."""

import threading
from collections.abc import Callable


class StatusReporter:
    """Reports the failures of one service; safe to use from any thread.

    A failure is reported when ``patience`` tries in a row have failed.
    """

    def __init__(
        self, say: Callable[[str], None], bad: str, good: str, *, patience: int = 1
    ) -> None:
        self._say, self._bad, self._good = say, bad, good
        self._patience = patience
        self._lock = threading.Lock()
        self._said = False

    def failed(self, why: str = "", tries: int = 1) -> None:
        """Note that it failed, the last ``tries`` times in a row."""
        with self._lock:
            if not self._said and tries >= self._patience:
                self._said = True
                self._say(f"{self._bad}: {why}" if why else self._bad)

    def works(self) -> None:
        """Note that it works."""
        with self._lock:
            if self._said:
                self._said = False
                self._say(self._good)

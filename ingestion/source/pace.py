"""Rate limiter of the simulator: an even rate, and an end after a time or a number."""

import threading
import time
from math import inf

# After a stall, at most this much is caught up, so that no burst follows.
CATCH_UP_SECONDS = 1.0


class Pace:
    """Rate limiter: grants changes evenly over time; shared by all sessions.

    Time begins with the first session that asks: connecting takes none of it.
    """

    def __init__(
        self,
        rate: float,
        halt: threading.Event,
        *,
        changes: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._rate = rate
        self._halt = halt
        self._lock = threading.Lock()
        self._left = inf if changes is None else changes
        self._seconds = inf if seconds is None else seconds
        self._next = -inf
        self._end = inf

    def take(self, wanted: int) -> int:
        """Wait for the turn of up to ``wanted`` changes; 0 when all is done.

        What does not get committed must be given back.
        """
        granted, turn = self.reserve(wanted, time.monotonic())
        if not granted:
            return 0
        stopped = self._halt.wait(max(0, min(turn, self._end) - time.monotonic()))
        if stopped or max(turn, time.monotonic()) >= self._end:
            self.give_back(granted)
            return 0
        return granted

    def reserve(self, wanted: int, now: float) -> tuple[int, float]:
        """How many changes may be made, and from which moment on."""
        with self._lock:
            granted = int(min(wanted, self._left))
            if self._next == -inf:
                self._next, self._end = now, now + self._seconds
            turn = max(self._next, now - CATCH_UP_SECONDS)
            self._next = turn + granted / self._rate
            self._left -= granted
        return granted, turn

    def pause(self, seconds: float) -> None:
        """Do nothing for ``seconds``, or until all is done."""
        self._halt.wait(max(0, min(seconds, self._end - time.monotonic())))

    def give_back(self, unused: int) -> None:
        """Let others make ``unused`` changes that were taken but not committed."""
        with self._lock:
            self._next -= unused / self._rate
            self._left += unused

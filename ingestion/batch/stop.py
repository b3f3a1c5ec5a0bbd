"""Stops workers, also those that wait for PostgreSQL, which sees no flag of ours."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from adbc_driver_manager import AdbcConnection, Error


class Stop:
    """A flag that, once set, also ends what the workers' connections are doing."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._connections: list[AdbcConnection] = []

    def is_set(self) -> bool:
        """Whether the workers are to stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Stop the workers and cancel their statements."""
        self._event.set()
        with self._lock:
            for connection in self._connections:
                # One that cannot be cancelled is broken, and fails by itself.
                with suppress(Error):
                    connection.cancel()

    @contextmanager
    def cancels(self, connection: AdbcConnection) -> Iterator[None]:
        """Within the block, ``set`` cancels what the connection is doing."""
        with self._lock:
            self._connections.append(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.remove(connection)

"""Commands that run one after another in the background, while others are in front."""

import os
import shlex
import signal
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.errors import LakehouseError
from infra.paths import REPO

NICENESS = 10  # what is in front goes first


class Background:
    """One queue of commands, each with a line that says what it does; one that fails is the last.

    What they print goes into `log`. What still runs at the end of the block is stopped.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._pool = ThreadPoolExecutor(1)
        self._jobs: list[Future[None]] = []
        self._news: list[str] = []
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped = True
        if (running := self._running) and running.poll() is None:
            os.killpg(running.pid, signal.SIGTERM)
        self._pool.shutdown(cancel_futures=True)

    def submit(self, what: str, command: str) -> None:
        self._jobs.append(self._pool.submit(self._run, what, command))

    def news(self) -> list[str]:
        """The commands that have ended since the last call, a line each."""
        news, self._news = self._news, []
        return news

    def done(self) -> bool:
        return all(job.done() for job in self._jobs)

    def wait(self) -> None:
        """Return when all is done.

        Raises LakehouseError, with the end of the log, for the command that failed.
        """
        for job in self._jobs:
            job.result()

    def _run(self, what: str, command: str) -> None:
        if self._stopped or any(job.done() and job.exception() for job in self._jobs):
            return
        began = time.monotonic()
        with self.log.open("ab") as log:
            log.write(f"$ {command}\n".encode())
            log.flush()
            # A session of its own: all that it starts can be stopped together.
            self._running = subprocess.Popen(
                ["nice", f"-n{NICENESS}", *shlex.split(command)],
                cwd=REPO,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            failed = self._running.wait()
        seconds = time.monotonic() - began
        if failed:
            self._news.append(f"{what}: failed after {seconds:.0f} s ({self.log})")
            last = self.log.read_text(errors="replace").strip().splitlines()[-6:]
            raise LakehouseError(
                f"{what} failed: `{command}`\n  " + "\n  ".join(last), f"all of it is in {self.log}"
            )
        self._news.append(f"{what}: done in {seconds:.0f} s")

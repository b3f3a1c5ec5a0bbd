"""Runs a command and takes its seconds and its peak memory."""

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from infra.native.paths import REPO


@dataclass(frozen=True)
class Measured:
    """Wall seconds and peak resident MB of one process."""

    seconds: float
    peak_mb: float


def measure(command: Sequence[str], folder: str = ".", **env: str) -> Measured:
    """Raises RuntimeError, with the end of what it printed, when the command fails."""
    with tempfile.TemporaryFile("w+") as errors:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=REPO / folder,
            env={**os.environ, **env},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        if status:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {errors.read()[-2000:]}")
    return Measured(seconds, usage.ru_maxrss / 1024)

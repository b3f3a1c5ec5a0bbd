"""Runs a command and takes its seconds and its peak memory.

As a script it is the small process that starts the command: Linux counts into a
process's peak what its parent held when it forked, so that parent must be small.
"""

import json
import os
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable

Row = dict[str, object]  # of a table that is printed and kept
Measured = namedtuple("Measured", "seconds peak_mb")  # wall, resident


def measure(command: list[str], folder: str = ".", **env: str) -> Measured:
    """Run `command`, its output thrown away.

    Raises RuntimeError, with the end of what it printed to stderr, if it fails.
    """
    done = subprocess.run(
        [sys.executable, "-S", __file__, *command],
        cwd=folder,
        env={**os.environ, **env},
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return Measured(*json.loads(done.stdout))


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> int:
    began = time.monotonic()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    print(json.dumps([time.monotonic() - began, usage.ru_maxrss / 1024]))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())

"""`.ci/run` runs both halves of the tests, also if the first fails, and fails if one fails."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from infra.paths import REPO

# Prints its target and the options of pytest, and fails for the configured target.
MAKE = '#!/bin/sh\necho "$1 $PYTEST_ADDOPTS"\n[ "$1" != "$FAILING" ]\n'


def ci(folder: Path, failing: str, **env: str) -> subprocess.CompletedProcess[str]:
    make = folder / "make"
    make.write_text(MAKE)
    make.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    kept = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    return subprocess.run(
        [REPO / ".ci/run"],
        env={**kept, "PATH": path, "FAILING": failing, **env},
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("failing", "run"),
    [
        ("nothing", ["lint", "test", "test-slow"]),
        ("lint", ["lint"]),
        ("test", ["lint", "test", "test-slow"]),
        ("test-slow", ["lint", "test", "test-slow"]),
    ],
)
def test_it_fails_if_a_part_fails(tmp_path: Path, failing: str, run: list[str]) -> None:
    done = ci(tmp_path, failing)
    assert [line.split()[0] for line in done.stdout.splitlines()] == run
    assert (done.returncode == 0) == (failing == "nothing")
    assert (f"failed: make {failing}\n" in done.stderr) == failing.startswith("test")


def test_the_budget_begins_with_it_and_is_for_the_slow_tests(tmp_path: Path) -> None:
    before = int(time.time())
    done = ci(tmp_path, "nothing", TEST_BUDGET_MINUTES="30")
    _, test, slow = done.stdout.splitlines()
    assert test == "test "
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=REPO, text=True).strip()
    match = re.fullmatch(rf"test-slow +--stop-at=(\d+) --shuffle-modules={head}", slow)
    assert match
    assert before + 1800 <= int(match[1]) <= time.time() + 1800

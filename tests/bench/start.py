"""How long until one can work: a new clone on a machine that has the programs, and each CLI."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from infra.paths import REPO
from tests.bench.measure import Row, measure, seconds
from tests.stack import free_offset

BIN = Path(sys.executable).parent
PYTHON = str(BIN / "python")
REPEATS = 3
BARE = "python -c pass"
COMMANDS = {
    BARE: [PYTHON, "-c", "pass"],
    "python -m ingestion --help": [PYTHON, "-m", "ingestion", "--help"],
    "what python -m ingestion batch imports": [
        PYTHON,
        "-c",
        "import ingestion.cli, ingestion.batch.run",
    ],
    "dbt --version": [str(BIN / "dbt"), "--version"],
    "import feast": [PYTHON, "-c", "import feast"],
    "import feast, by python -O": [PYTHON, "-O", "-c", "import feast"],
}


def measure_start() -> list[Row]:
    """Seconds of `make up` in a clone of what is committed, then of each command (the best)."""
    rows: list[Row] = []
    with new_clone() as clone:
        for what, airflow in (("the lake", 0), ("Airflow, after it", 1)):
            up = partial(run, ["make", "up", f"AIRFLOW={airflow}", "RUNTIME=native"], clone)
            rows.append({"what": f"make up, new clone: {what}", "seconds": seconds(up)})
    best = {
        what: min(measure(command, str(REPO)).seconds for _ in range(REPEATS))
        for what, command in COMMANDS.items()
    }
    return rows + [{"what": what, "seconds": spent} for what, spent in best.items()]


@contextmanager
def new_clone() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=REPO.parent) as folder:
        clone = Path(folder, "lakehouse")
        subprocess.run(["git", "clone", "--quiet", str(REPO), str(clone)], check=True)
        run([PYTHON, "-m", "infra", "env", f"--port-offset={free_offset()}"], clone)
        try:
            yield clone
        finally:
            run(["make", "down"], clone)


def run(command: list[str], clone: Path) -> None:
    # The settings of the stack that `make bench` runs are in the environment.
    env = {key: value for key, value in os.environ.items() if key != "ENV_FILE"}
    subprocess.run(command, cwd=clone, env=env, check=True)

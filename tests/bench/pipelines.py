"""The whole of loan_etl against plain `dbt build`: seconds, CPU seconds, memory."""

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from infra.airflow.client import Airflow
from infra.paths import REPO
from infra.provision import environment
from tests.bench import stream
from tests.bench.dbt import BUILD
from tests.bench.measure import Row, measure
from tests.stack import ingest

BIN = Path(sys.executable).parent
ROWS = 45_000
REPEATS = 2
PIPELINE = REPO / "airflow/dags/loan_etl.py"
LOCAL = REPO / "airflow/dags/bench_local.py"
RUN = [str(BIN / "python"), "-m", "infra.airflow", "run"]
WAYS = {
    "dbt build": BUILD,
    "loan_etl": [*RUN, "loan_etl"],
    "loan_etl, a dbt process a task": [*RUN, "loan_etl_local"],
}


def measure_pipelines() -> list[Row]:
    """The best of REPEATS; before each, stream.CHANGES rows have changed."""
    ingest("source", "generate", "--rows", str(ROWS))
    ingest("stream", "capture")
    best: dict[str, dict[str, float]] = {}
    with local_variant():
        measure([*RUN, "loan_batch_ingestion", "--then", "loan_etl", "--full"])
        for _ in range(REPEATS):
            for way, command in WAYS.items():
                stream.change(stream.CHANGES)
                ingest("stream", "wait")
                once = measure_machine(command)
                if way not in best or once["seconds"] < best[way]["seconds"]:
                    best[way] = once
    plain = best["dbt build"]["seconds"]
    return [
        {"way": way, **row, "times_dbt_build": row["seconds"] / plain} for way, row in best.items()
    ]


@contextmanager
def local_variant() -> Iterator[None]:
    """The same pipeline, but each task starts a dbt of its own."""
    text = PIPELINE.read_text().replace("ExecutionMode.WATCHER", "ExecutionMode.LOCAL")
    text = text.replace('dag_id="loan_etl"', 'dag_id="loan_etl_local"')
    text = text.replace("    count_each_test_once(dbt)\n", "")  # of the one process
    LOCAL.write_text(re.sub(r"schedule=.*,\n", "schedule=None,\n", text))
    try:
        airflow = Airflow(environment())
        while "loan_etl_local" not in airflow.dags():
            time.sleep(1)
        yield
    finally:
        LOCAL.unlink()


def measure_machine(command: list[str]) -> dict[str, float]:
    """What the machine does meanwhile: dbt's, Airflow's and the services' work."""
    ended = threading.Event()
    used: list[int] = []

    def look() -> None:
        while not ended.wait(0.5):
            used.append(psutil.virtual_memory().used)

    before, rest = busy(), psutil.virtual_memory().used
    looking = threading.Thread(target=look)
    looking.start()
    seconds = measure(command, str(REPO / "dbt_project" if command is BUILD else REPO)).seconds
    ended.set()
    looking.join()
    return {
        "seconds": seconds,
        "cpu_seconds": busy() - before,
        "added_mb": (max(used) - rest) / 2**20,
    }


def busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system)

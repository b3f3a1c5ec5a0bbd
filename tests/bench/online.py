"""The speed of features from the stream: from commit to online store, and a backlog."""

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from infra.native.stack import Supervisor, tree_memory
from infra.provision import environment
from streaming.job import connect
from streaming.probe import LOG_POSITION, probe
from streaming.settings import SCHEMA, job_settings
from tests.bench.measure import Row
from tests.bench.stream import EVENTS, KEYS, change
from tests.stack import ingest

BIN = Path(sys.executable).parent
RATES = (100, 500, 2_000)
PROBES = 200
# The last changes of a backlog: enough to be in every partition.
MARKED = 100
WARM_UP_SECONDS = 10
TIMEOUT_SECONDS = 300
ONLINE = f"{SCHEMA}.loan_approval_application"


def prepare() -> None:
    """A source of KEYS rows, captured."""
    ingest("source", "generate", "--rows", str(KEYS))
    ingest("stream", "capture")


def freshness() -> list[Row]:
    """Seconds from commit until the online store has the change."""
    rows = []
    for rate in RATES:
        rows.append(freshness_at(rate))
        print(rows[-1], flush=True)  # it takes minutes; what is known is known
    return rows


def freshness_at(rate: int) -> Row:
    with simulated(rate):
        time.sleep(WARM_UP_SECONDS)
        seconds = sorted(one.seconds for one in probe(job_settings(), PROBES, TIMEOUT_SECONDS))
    return {
        "changes_per_second": rate,
        "p50_seconds": quantile(seconds, 0.5),
        "p95_seconds": quantile(seconds, 0.95),
        "p99_seconds": quantile(seconds, 0.99),
        "flink_mb": flink_megabytes(),
    }


def quantile(values: list[float], share: float) -> float:
    """Of sorted values the smallest that so many are not greater than."""
    return values[math.ceil(share * len(values)) - 1]


def flink_megabytes() -> int:
    supervisor = Supervisor(environment())
    parts = ("flink-jobmanager", "flink-taskmanager")
    return sum(tree_memory(supervisor.info(part)["pid"]) for part in parts) // 2**20


@contextmanager
def simulated(rate: int) -> Iterator[None]:
    """Let the source change at that rate during the block."""
    command = [str(BIN / "python"), "-m", "ingestion", "source", "simulate", "--rate", str(rate)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def backlog() -> list[Row]:
    """Changes a second into PostgreSQL, of a backlog that is in Kafka when the job begins."""
    supervisor = Supervisor(environment()).rpc().supervisor
    supervisor.stopProcess("flink-taskmanager")
    position = log_position()
    change(EVENTS)
    marked = log_position()
    change(MARKED)
    ingest("stream", "wait")
    supervisor.startProcess("flink-taskmanager")
    began = wait_until(f"select exists (select from {ONLINE} where lsn > %s)", position)
    partitions = f"select count(distinct input_id) = %s from {ONLINE} where lsn > %s"
    ended = wait_until(partitions, int(environment()["STREAM_CONSUMERS"]), marked)
    return [
        {
            "changes": EVENTS,
            "changes_per_second": round(EVENTS / (ended - began)),
            "flink_mb": flink_megabytes(),
        }
    ]


def log_position() -> int:
    with closing(connect(job_settings())) as connection, connection.cursor() as cursor:
        cursor.execute(LOG_POSITION)
        [position] = cursor.fetchone() or [0]
    return int(position)


def wait_until(question: str, *values: int) -> float:
    """The moment when the database says yes."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with closing(connect(job_settings())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        while time.monotonic() < deadline:
            cursor.execute(question, values)
            if (cursor.fetchone() or [False])[0]:
                return time.monotonic()
            time.sleep(0.05)
    raise RuntimeError(f"not in {TIMEOUT_SECONDS} s: {question}")

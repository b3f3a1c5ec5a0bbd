"""The speed of features from the stream: from commit to online store, and of a backlog."""

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.native.stack import Supervisor, tree_memory
from infra.provision import environment
from streaming.bucket import Bucket
from streaming.flink_client import get
from streaming.job import connect
from streaming.lag import read_lag
from streaming.probe import LOG_POSITION, probe
from streaming.savepoints import newest_savepoint, running_job, starts_of, stop
from streaming.settings import SCHEMA, job_settings
from streaming.start import Start
from tests.bench.blackhole import BlackholeJob, blackhole_job, read_offsets
from tests.bench.hourly import hourly_path
from tests.bench.measure import Row
from tests.bench.stream import KEYS, Consumers, change, ends, produce
from tests.stack import ingest

BIN = Path(sys.executable).parent
RATES = (100, 500, 2_000)
PROBES = 200
# The last changes of a backlog: enough to be in every partition.
MARKED = 100
WARM_UP_SECONDS = 10
TIMEOUT_SECONDS = 300
POLL_SECONDS = 0.2  # to ask is work, too
ONLINE = f"{SCHEMA}.loan_approval_application"
TASK_MANAGER = "flink-taskmanager"


def measure_online() -> Iterator[tuple[str, list[Row]]]:
    """Each table with its title, as soon as it is measured."""
    prepare()
    yield "From commit to the online store", freshness()
    stop(job_settings())
    yield "The hourly path to the online store, without Flink", hourly_path()
    yield "A backlog of changes", backlog()


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
    return (memory_of("flink-jobmanager") + memory_of(TASK_MANAGER)) // 2**20


def memory_of(program: str) -> int:
    return tree_memory(Supervisor(environment()).info(program)["pid"])


@contextmanager
def simulated(rate: int) -> Iterator[None]:
    """Let the source change at that rate during the block."""
    command = [str(BIN / "python"), "-m", "ingestion", "source", "simulate", "--rate", str(rate)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


@dataclass(frozen=True)
class Backlog:
    """Changes that are in Kafka. After them, each partition has some more, which show their end."""

    changes: int
    # From the first commit in the source until Kafka had them.
    seconds: float
    # The source's log positions before and after them.
    positions: tuple[int, int]
    # The same in Kafka, by partition.
    begin: dict[int, int]
    end: dict[int, int]


def backlog() -> list[Row]:
    """Changes a second: by Debezium, then by two jobs that read what Debezium has written.

    Each job begins when Kafka has all of them. The stack's job must be stopped.
    """
    with blackhole_job() as (job, pid):
        wait_until(lambda: has_read_all(job), "the job into a blackhole has read the topic")
        with stopped_task_manager():
            written = write_backlog()
        taken = read_into_blackhole(written)
        megabytes = (tree_memory(pid) + memory_of(TASK_MANAGER)) // 2**20
        blackhole = job_row("the same job into a blackhole", written, taken, megabytes)
    with stopped_task_manager():  # for both jobs it has just started
        start_again()
    taken = read_into_postgres(written)
    return [
        job_row("Flink's job into PostgreSQL", written, taken, flink_megabytes()),
        blackhole,
        rate_row("Debezium, from the commit into Kafka", written, written.seconds),
    ]


def rate_row(way: str, written: Backlog, taken: float) -> Row:
    rate = round(written.changes / taken)
    return {
        "way": way,
        "changes": written.changes,
        "changes_per_second": rate,
        "task_slots": "",
        "flink_mb": "",
    }


def job_row(way: str, written: Backlog, taken: float, megabytes: int) -> Row:
    more = {"task_slots": task_slots(), "flink_mb": megabytes}
    return rate_row(way, written, taken) | more


def task_slots() -> int:
    """How many the job has: as many as the parallel tasks of its widest step, for steps share."""
    settings = job_settings()
    vertices = get(settings, f"/jobs/{running_job(settings)}")["vertices"]
    return max(int(vertex["parallelism"]) for vertex in vertices)


def has_read_all(job: BlackholeJob) -> bool:
    return read_lag(job.settings, job.topic, job.online_table) == 0


@contextmanager
def stopped_task_manager() -> Iterator[None]:
    supervisor = Supervisor(environment()).rpc().supervisor
    supervisor.stopProcess(TASK_MANAGER)
    yield
    # At once: supervisor would wait until it has run for 10 s, and the job begins earlier.
    supervisor.startProcess(TASK_MANAGER, False)


def start_again() -> None:
    """Have the stack's job start where it was stopped, as `python -m streaming restore` does."""
    settings = job_settings()
    start = Start(newest_savepoint(settings), asked="bench")
    starts_of(settings, Bucket(settings)).write(start)


def write_backlog() -> Backlog:
    position, begin = log_position(), ends()
    with Consumers():
        changed = produce()
        taken = time.monotonic() - changed.committed
    after, end = log_position(), ends()
    change(MARKED)
    ingest("stream", "wait")
    return Backlog(changed.rows, taken, (position, after), begin, end)


def read_into_blackhole(written: Backlog) -> float:
    """The seconds that the job takes."""

    def has_begun() -> bool:
        return any(offset >= written.begin[n] for n, offset in read_offsets().items())

    def has_ended() -> bool:
        offsets = read_offsets()
        return all(offsets.get(n, 0) >= end for n, end in written.end.items())

    began = wait_until(has_begun, "the job into a blackhole begins")
    return wait_until(has_ended, "the job into a blackhole ends") - began


def read_into_postgres(written: Backlog) -> float:
    """The seconds from the first of its rows in the online store to the last."""
    before, after = written.positions
    partitions = f"select count(distinct input_id) = %s from {ONLINE} where lsn > %s"
    with closing(connect(job_settings())) as connection, connection.cursor() as cursor:
        connection.autocommit = True

        def says(question: str, *values: int) -> bool:
            cursor.execute(question, values)
            return bool((cursor.fetchone() or [False])[0])

        began = wait_until(
            lambda: says(f"select exists (select from {ONLINE} where lsn > %s)", before),
            "the job into PostgreSQL begins",
        )
        ended = wait_until(
            lambda: says(partitions, len(written.end), after), "the job into PostgreSQL ends"
        )
    return ended - began


def log_position() -> int:
    with closing(connect(job_settings())) as connection, connection.cursor() as cursor:
        cursor.execute(LOG_POSITION)
        [position] = cursor.fetchone() or [0]
    return int(position)


def wait_until(holds: Callable[[], bool], what: str) -> float:
    """The moment when it holds."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not in {TIMEOUT_SECONDS} s: {what}")
        time.sleep(POLL_SECONDS)
    return time.monotonic()

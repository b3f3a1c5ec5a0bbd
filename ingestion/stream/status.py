"""How the stream is: every piece of the way from the source's log to bronze."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rich.filesize import decimal

from ingestion.errors import IngestionError
from ingestion.postgres import connect_reader, plain_errors
from ingestion.settings import Settings
from ingestion.storage import Bronze
from ingestion.stream.capture import uncaptured
from ingestion.stream.client import open_admin
from ingestion.stream.connect import RUNNING, Worker, address, read_workers
from ingestion.stream.dead_letters import kept_letters
from ingestion.stream.offsets import ConsumerGroup, Position, read_group, read_positions
from ingestion.stream.recent_objects import RecentObjects, recently_landed
from ingestion.stream.slot import RESET_SLOT_HINT, Slot, read_slot
from ingestion.stream.topics import topic_of
from ingestion.tables import Table

APPLICATION = "ingestion status"

# What is no longer a moment's backlog: of a partition, what a consumer lands in some
# seconds; of the source's log, what Debezium reads in a minute or so.
LAG_RECORDS = 100_000
LAG_BYTES = 256_000_000

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """Something that needs attention, and what to do about it."""

    message: str
    hint: str


@dataclass
class Status:
    """The stream's status; the part of a service that did not answer is None, and a problem."""

    group: ConsumerGroup | None = None
    positions: list[Position] | None = None
    # By topic and partition.
    landed: dict[str, dict[int, RecentObjects]] | None = None
    waiting_letters: int | None = None
    workers: list[Worker] | None = None
    slot: Slot | None = None
    uncaptured: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)


def read_status(settings: Settings, tables: Sequence[Table]) -> Status:
    """Query every service; expected failures become problems instead of being raised."""
    status = Status()

    def query(question: Callable[[], T]) -> T | None:
        try:
            return question()
        except IngestionError as error:
            status.problems.append(Problem(error.message, error.hint))
            return None

    def query_source() -> None:
        connection = connect_reader(settings, APPLICATION)
        try:
            with plain_errors("looking at the source"), connection.cursor() as cursor:
                status.uncaptured = uncaptured(cursor, settings.stream_publication, tables)
                status.slot = read_slot(cursor, settings.stream_slot)
        finally:
            connection.close()

    def query_kafka() -> None:
        with open_admin(settings) as admin:
            status.group = read_group(admin, settings)
            status.positions = read_positions(admin, settings, tables)

    def query_bronze() -> None:
        bronze = Bronze(settings)
        topics = dict.fromkeys(topic_of(settings, table) for table in tables)
        status.landed = {topic: recently_landed(bronze, topic) for topic in topics}
        letters = kept_letters(settings, bronze)
        status.waiting_letters = sum(not letter.is_replayed for letter in letters)

    query(query_source)
    status.workers = query(lambda: read_workers(settings))
    query(query_kafka)
    query(query_bronze)
    status.problems += find_problems(settings, status)
    return status


def find_problems(settings: Settings, status: Status) -> list[Problem]:
    """What needs attention, in the order in which a change passes the services."""
    problems = [
        Problem(f"the changes of {source} are not captured", "`python -m ingestion stream capture`")
        for source in status.uncaptured
    ]
    if status.slot is not None:
        problems += _of_slot(status.slot)
    if status.workers is not None:
        problems += _of_workers(settings, status.workers)
    if status.group is not None:
        problems += _of_group(settings, status.group, status.positions or [])
    problems += [
        Problem(
            f"{position.topic} {position.partition}: {position.lag:,} records have not landed",
            "if it does not fall, see why in the consumer's log (`make logs SERVICE=consumer-1`)",
        )
        for position in status.positions or []
        if position.lag > LAG_RECORDS
    ]
    if status.waiting_letters:
        problems.append(
            Problem(
                f"records that could not be read: {status.waiting_letters:,}",
                "`python -m ingestion stream dead-letters` shows them; correct it, then replay",
            )
        )
    return problems


def _of_slot(slot: Slot) -> list[Problem]:
    if slot.is_lost:
        why = slot.invalidation_reason or slot.wal_status
        return [
            Problem(f"the replication slot is lost ({why}): changes are missing", RESET_SLOT_HINT)
        ]
    problems = []
    if not slot.is_active:
        problems.append(
            Problem(
                "the replication slot has no reader",
                "`make status` shows whether Connect runs; PostgreSQL keeps the changes",
            )
        )
    if (slot.lag_bytes or 0) > LAG_BYTES or slot.wal_status != "reserved":
        problems.append(
            Problem(
                f"Debezium lags {decimal(slot.lag_bytes or 0)} of WAL behind the source, which"
                f" retains {decimal(slot.retained_bytes or 0)} ({slot.wal_status})",
                "if it does not fall: see `make logs SERVICE=connect`; beyond PostgreSQL's"
                " max_slot_wal_keep_size changes are lost",
            )
        )
    return problems


def _of_workers(settings: Settings, workers: list[Worker]) -> list[Problem]:
    if not workers:
        return [Problem("Connect has no connector", "`make up` registers it")]
    problems = [
        Problem(
            f"{worker.name} is {worker.state}{f': {worker.reason}' if worker.reason else ''}",
            "correct the cause, then:"
            f" curl -X POST '{address(settings)}/connectors/{worker.connector}"
            "/restart?includeTasks=true'",
        )
        for worker in workers
        if worker.state != RUNNING
    ]
    with_tasks = {worker.connector for worker in workers if worker.task is not None}
    for name in sorted({worker.connector for worker in workers} - with_tasks):
        problems.append(Problem(f"connector {name} has no task", "see `make logs SERVICE=connect`"))
    return problems


def _of_group(settings: Settings, group: ConsumerGroup, positions: list[Position]) -> list[Problem]:
    wanted = range(1, settings.stream_consumers + 1)
    if missing := [n for n in wanted if f"{settings.stream_group}-{n}" not in group.members]:
        names = ", ".join(f"consumer-{number}" for number in missing)
        return [
            Problem(
                f"not in the consumers' group: {names}",
                f"`make up` starts what does not run; `make logs SERVICE=consumer-{missing[0]}`"
                " says why it ended",
            )
        ]
    return [
        Problem(
            f"{position.topic} {position.partition} has no consumer",
            f"the consumer group is {group.state}: if it stays so, see the consumers' logs",
        )
        for position in positions
        if group.reader(position.topic, position.partition) is None
    ]

"""Waits until what is committed in the source has landed."""

import time
from collections.abc import Callable, Sequence

from psycopg2 import extensions
from rich.filesize import decimal

from ingestion.errors import IngestionError, MissingError, ServiceError
from ingestion.postgres import connect_reader, one_row, plain_errors
from ingestion.settings import Settings
from ingestion.stream.capture import uncaptured
from ingestion.stream.client import open_admin
from ingestion.stream.offsets import Position, read_positions
from ingestion.stream.slot import check_alive, read_slot
from ingestion.tables import Table

APPLICATION = "ingestion wait"
LOOK_SECONDS = 0.1

Say = Callable[[str], None]


def wait_until_landed(
    settings: Settings, tables: Sequence[Table], timeout: float, say: Say
) -> None:
    """Return when all that the source had committed at the call is in bronze.

    First Debezium must have brought it to Kafka: it tells the slot only what Kafka has
    for good, and its heartbeat moves the slot on while the source is quiet. Then the
    consumers must come to where the logs end at that moment.

    ``say`` is told what is waited for.

    Raises:
        ServiceError: the time is over, or a service failed.
        MissingError: a table is not captured.
        DataError: the slot is lost.
    """
    deadline = time.monotonic() + timeout
    _wait_for_debezium(settings, tables, deadline, say)
    with open_admin(settings) as admin:
        ends = _ends(read_positions(admin, settings, tables))
        while behind := [
            position
            for position in read_positions(admin, settings, tables)
            if position.landed < ends.get((position.topic, position.partition), 0)
        ]:
            say(f"waits for the consumers: {_names(behind)}")
            if time.monotonic() > deadline:
                raise _late(f"the consumers have not landed {_names(behind)}")
            time.sleep(LOOK_SECONDS)


def _wait_for_debezium(
    settings: Settings, tables: Sequence[Table], deadline: float, say: Say
) -> None:
    connection = connect_reader(settings, APPLICATION)
    connection.autocommit = True
    try:
        with plain_errors("looking at the source"), connection.cursor() as cursor:
            if missing := uncaptured(cursor, settings.stream_publication, tables):
                raise MissingError(
                    f"the changes of {missing[0]} are not captured",
                    "`python -m ingestion stream capture`",
                )
            target = _committed(cursor)
            while left := _left(cursor, settings.stream_slot, target):
                say(f"waits for Debezium: {decimal(left)} of the source's log")
                if time.monotonic() > deadline:
                    raise _late(f"Debezium has not read {decimal(left)} of the source's log")
                time.sleep(LOOK_SECONDS)
    finally:
        connection.close()


def _committed(cursor: extensions.cursor) -> int:
    """A position in the log behind every commit until now."""
    cursor.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
    return int(one_row(cursor)[0])


def _left(cursor: extensions.cursor, slot_name: str, target: int) -> int:
    slot = read_slot(cursor, slot_name)
    check_alive(slot)
    return max(0, target - (slot.confirmed or 0))


def _ends(positions: list[Position]) -> dict[tuple[str, int], int]:
    return {(position.topic, position.partition): position.end for position in positions}


def _names(behind: list[Position]) -> str:
    return ", ".join(f"{p.topic} {p.partition} ({p.lag:,} to go)" for p in behind)


def _late(what: str) -> IngestionError:
    return ServiceError(f"the time is over: {what}", "`make stream-status` says what to do")

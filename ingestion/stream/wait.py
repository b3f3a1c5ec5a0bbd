"""Waits until what is committed in the source has landed."""

import time
from collections.abc import Sequence

from psycopg2 import extensions
from rich.filesize import decimal

from ingestion.errors import IngestionError, MissingError, ServiceError
from ingestion.postgres import connect_reader, one_row, plain_errors
from ingestion.settings import Settings
from ingestion.stream.capture import uncaptured
from ingestion.stream.client import open_admin
from ingestion.stream.offsets import Position, read_positions
from ingestion.stream.slot import check_alive, read_slot
from ingestion.stream.status_reporter import WriteLogLine
from ingestion.tables import Table

APPLICATION = "ingestion wait"
POLL_INTERVAL_SECONDS = 0.1


def wait_until_landed(
    settings: Settings, tables: Sequence[Table], timeout: float, report: WriteLogLine
) -> None:
    """Return when all that the source had committed at the call is in bronze.

    First it waits for Debezium, which confirms to the slot only what Kafka has stored; its
    heartbeat advances the slot while the source is idle. Then it waits until the consumers
    reach the end offsets of that moment.

    ``report`` is called with what it waits for.

    Raises:
        ServiceError: the timeout has passed, or a service failed.
        MissingError: a table is not captured.
        DataError: the slot is lost.
    """
    deadline = time.monotonic() + timeout
    _wait_for_debezium(settings, tables, deadline, report)
    with open_admin(settings) as admin:
        ends = _ends(read_positions(admin, settings, tables))
        while behind := [
            position
            for position in read_positions(admin, settings, tables)
            if position.landed < ends.get((position.topic, position.partition), 0)
        ]:
            report(f"waiting for the consumers: {_names(behind)}")
            if time.monotonic() > deadline:
                raise _timeout(f"the consumers have not landed {_names(behind)}")
            time.sleep(POLL_INTERVAL_SECONDS)


def _wait_for_debezium(
    settings: Settings, tables: Sequence[Table], deadline: float, report: WriteLogLine
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
                report(f"waiting for Debezium: {decimal(left)} of WAL to read")
                if time.monotonic() > deadline:
                    raise _timeout(f"Debezium has not read {decimal(left)} of WAL")
                time.sleep(POLL_INTERVAL_SECONDS)
    finally:
        connection.close()


def _committed(cursor: extensions.cursor) -> int:
    """The WAL position after every commit until now."""
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


def _timeout(what: str) -> IngestionError:
    return ServiceError(f"timed out: {what}", "`make stream-status` says what to do")

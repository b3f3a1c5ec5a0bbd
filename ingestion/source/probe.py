"""Measures freshness: from a commit in the source until Trino shows the change."""

# Identifiers are quoted or checked.
# ruff: noqa: S608

import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg2 import extensions

from ingestion.errors import DataError, ServiceError, SettingsError
from ingestion.options import LIVE_TABLE
from ingestion.postgres import connect_owner, plain_errors
from ingestion.settings import Settings
from ingestion.source.changes import relation
from ingestion.trino_client import Trino

# Short compared with a query, which takes ten times as long.
_POLL_INTERVAL_SECONDS = 0.02
_PROBE_INTERVAL_SECONDS = 1.0


@dataclass(frozen=True)
class Probed:
    """One change, and how long it was on its way."""

    application_id: int
    updated_at: datetime
    seconds: float  # from the commit's return to the end of the query that showed it


def probe(
    settings: Settings,
    live: str = LIVE_TABLE,
    *,
    schema: str = "public",
    times: int = 3,
    timeout: float = 60,
) -> Iterator[Probed]:
    """Touch a row of the source and wait for Trino's relation ``live``, ``times`` times.

    Nothing but the row's ``updated_at`` changes.

    Raises:
        SettingsError: ``live`` is no name of a relation in Trino.
        MissingError: the source's table or ``live`` does not exist.
        DataError: the source has no row to touch.
        ServiceError: a change did not show in time, or a service cannot be reached.
    """
    if not re.fullmatch(r"\w+\.\w+\.\w+", live):
        raise SettingsError(f"{live!r} is not like catalog.schema.table")
    trino = Trino(settings)
    # The first query is slower, and a missing table must be reported before any change.
    _shows(trino, live, Probed(0, datetime.now(UTC), 0))
    connection = connect_owner(settings, "ingestion probe")
    try:
        for number in range(times):
            if number:
                # Otherwise each would start right after a landing, all in the same step.
                time.sleep(random.uniform(0, _PROBE_INTERVAL_SECONDS))  # noqa: S311
            yield _probe(connection, trino, relation(schema), live, timeout)
    finally:
        connection.close()


def _probe(
    connection: extensions.connection, trino: Trino, table: str, live: str, timeout: float
) -> Probed:
    change, committed = touch_row(connection, table)
    while not _shows(trino, live, change):
        if time.monotonic() - committed > timeout:
            raise ServiceError(
                f"application {change.application_id}, changed in the source at"
                f" {change.updated_at:%H:%M:%S}, is not in {live} after {timeout:g} s",
                "`make stream-status` shows where it waits",
            )
        time.sleep(_POLL_INTERVAL_SECONDS)
    seconds = time.monotonic() - committed
    connection.rollback()  # lets the row go
    return Probed(change.application_id, change.updated_at, seconds)


def touch_row(connection: extensions.connection, table: str) -> tuple[Probed, float]:
    """Move the ``updated_at`` of some row; the change and the moment of its commit."""
    with plain_errors(f"touching a row of {table}"), connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE {table} SET updated_at = now() WHERE application_id = (
                SELECT application_id FROM {table} WHERE application_id >= (
                    SELECT min(application_id) + floor(
                        random() * (max(application_id) - min(application_id) + 1)
                    )::bigint FROM {table}
                )
                ORDER BY application_id LIMIT 1 FOR UPDATE SKIP LOCKED
            )
            RETURNING application_id, updated_at"""
        )
        row = cursor.fetchone()
        connection.commit()
        committed = time.monotonic()
        if row is None:
            raise DataError(
                f"{table} has no row to touch", "`python -m ingestion source generate` makes some"
            )
        # The simulator skips locked rows: it must not delete this one.
        cursor.execute(
            f"SELECT FROM {table} WHERE application_id = %s FOR SHARE SKIP LOCKED", row[:1]
        )
    return Probed(row[0], row[1], 0), committed


def _shows(trino: Trino, live: str, change: Probed) -> bool:
    moment = change.updated_at.astimezone(UTC)
    return bool(
        trino.query(
            f"SELECT 1 FROM {live} WHERE application_id = {change.application_id}"
            f" AND updated_at >= TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S.%f} UTC'"
        )
    )

"""Measures freshness: from a commit in the source until the online store has the change."""

import random
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg2
from psycopg2 import extensions, sql

from ingestion.errors import ServiceError
from ingestion.postgres import connect_owner
from ingestion.source.changes import relation
from ingestion.source.probe import Probed, touch_row
from streaming.errors import StreamingError
from streaming.job import connect, online_name, read_job
from streaming.settings import JobSettings

POLL_SECONDS = 0.005
PAUSE_SECONDS = 0.5
LOG_POSITION = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"


def probe(settings: JobSettings, times: int, timeout: float) -> Iterator[Probed]:
    """Touch a row of the source and wait for it in Flink's table, ``times`` times.

    Raises:
        DataError: the source has no row to touch.
        ServiceError: a change did not arrive in time, or the source cannot be reached.
        StreamingError: the online store cannot be reached, or Flink has never run.
    """
    try:
        with (
            closing(connect(settings)) as online,
            closing(connect_owner(settings, "streaming probe")) as source,
        ):
            online.autocommit = True
            job = read_job(settings, topic_id="")
            arrived = sql.SQL("select from {}.{} where {} = %s and lsn > %s").format(
                *online_name(job), sql.Identifier(job.key)
            )
            for number in range(times):
                if number:
                    # Otherwise each would start right after a flush of Flink's.
                    time.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311
                yield probe_once(source, online, arrived, timeout)
    except psycopg2.Error as error:
        raise StreamingError(
            f"the online store: {str(error).strip()}", "`make up SERVICE=flink` makes its tables"
        ) from None


def probe_once(
    source: extensions.connection,
    online: extensions.connection,
    arrived: sql.Composed,
    timeout: float,
) -> Probed:
    """`arrived` is true of a key and a position in the source's log before its change."""
    with source.cursor() as cursor:
        cursor.execute(LOG_POSITION)
        [position] = cursor.fetchone() or [0]
    change, committed = touch_row(source, relation("public"))
    with online.cursor() as cursor:
        while True:
            cursor.execute(arrived, (change.application_id, position))
            if cursor.fetchone() is not None:
                break
            if time.monotonic() - committed > timeout:
                raise ServiceError(
                    f"application {change.application_id} is not in the online store after"
                    f" {timeout:g} s",
                    "`python -m streaming status` and `make stream-status` show where it waits",
                )
            time.sleep(POLL_SECONDS)
    seconds = time.monotonic() - committed
    source.rollback()  # lets the row go
    return Probed(change.application_id, change.updated_at, seconds)

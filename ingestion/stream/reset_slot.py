"""Replaces a lost replication slot; Debezium drops its offset in the old one."""

import time
from contextlib import closing

import requests
from psycopg2 import extensions

from ingestion.errors import DataError, MissingError, ServiceError
from ingestion.postgres import connect_capture, plain_errors
from ingestion.settings import Settings
from ingestion.stream.connect import address, read_workers
from ingestion.stream.slot import read_slot
from ingestion.stream.status_reporter import WriteLogLine

APPLICATION = "ingestion reset-slot"
# The name under which `make up` registers infra/debezium/source.json at Connect.
CONNECTOR = "source"
STOP_SECONDS = 60.0
POLL_INTERVAL_SECONDS = 0.2


def reset_slot(
    settings: Settings, report: WriteLogLine, *, force: bool = False, connector: str = CONNECTOR
) -> None:
    """Replace the replication slot; Debezium reads the WAL from now on.

    Changes that Debezium had not read from the old slot never arrive by the stream, so a
    full batch has to land afterwards: it contains their effect.

    Raises:
        DataError: the slot is usable, and ``force`` is not set.
        ServiceError: PostgreSQL or Connect cannot be reached, or Debezium does not stop.
    """
    connection = connect_capture(settings, APPLICATION)
    connection.autocommit = True
    with closing(connection), plain_errors("replacing the slot"), connection.cursor() as cursor:
        if _is_usable(cursor, settings.stream_slot) and not force:
            raise DataError(
                f"the replication slot {settings.stream_slot!r} is usable: replacing it loses"
                " the changes that Debezium has not read yet",
                "add --force to replace it all the same",
            )
        report("stopping Debezium")
        _stop(settings, connector)
        report("deleting Debezium's offset, replacing the slot")
        _request(settings, "DELETE", f"{connector}/offsets")
        cursor.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE slot_name = %s",
            (settings.stream_slot,),
        )
        cursor.execute(
            "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (settings.stream_slot,)
        )
        _request(settings, "PUT", f"{connector}/resume")


def _is_usable(cursor: extensions.cursor, name: str) -> bool:
    try:
        return not read_slot(cursor, name).is_lost
    except MissingError:
        return False


def _stop(settings: Settings, connector: str) -> None:
    """Stop the connector and wait until its task has ended."""
    _request(settings, "PUT", f"{connector}/stop")
    deadline = time.monotonic() + STOP_SECONDS
    while [w.state for w in read_workers(settings) if w.connector == connector] != ["STOPPED"]:
        if time.monotonic() > deadline:
            raise ServiceError("Debezium does not stop", "see `make logs SERVICE=connect`")
        time.sleep(POLL_INTERVAL_SECONDS)


def _request(settings: Settings, method: str, what: str) -> None:
    try:
        answer = requests.request(method, f"{address(settings)}/connectors/{what}", timeout=60)
    except requests.RequestException as error:
        raise ServiceError(
            f"cannot reach Kafka Connect at {address(settings)}: {type(error).__name__}",
            "`make up` starts it; then run this again",
        ) from None
    if not answer.ok:
        raise ServiceError(
            f"Connect refuses {method} {what}: {answer.json().get('message', answer.text)}",
            "see `make logs SERVICE=connect`; then run this again",
        )

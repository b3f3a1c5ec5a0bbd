"""Replaces a lost replication slot; Debezium drops its offset in the old one."""

import time
from collections.abc import Callable
from contextlib import closing

import requests
from psycopg2 import extensions

from ingestion.errors import DataError, MissingError, ServiceError
from ingestion.postgres import connect_capture, plain_errors
from ingestion.settings import Settings
from ingestion.stream.connect import address, read_workers
from ingestion.stream.slot import read_slot

APPLICATION = "ingestion reset-slot"
# Its name at Connect, under which `make up` registers infra/debezium/source.json.
CONNECTOR = "source"
STOP_SECONDS = 60.0
LOOK_SECONDS = 0.2

Say = Callable[[str], None]


def reset_slot(
    settings: Settings, say: Say, *, force: bool = False, connector: str = CONNECTOR
) -> None:
    """Let Debezium read the source's log from now on, through a new slot.

    What was not yet read of the old one is missing in the stream for ever, so a full
    batch has to land afterwards: it holds what those changes did.

    Raises:
        DataError: the slot can go on, and ``force`` is not set.
        ServiceError: PostgreSQL or Connect cannot be reached, or Debezium does not stop.
    """
    connection = connect_capture(settings, APPLICATION)
    connection.autocommit = True
    with closing(connection), plain_errors("replacing the slot"), connection.cursor() as cursor:
        if _is_well(cursor, settings.stream_slot) and not force:
            raise DataError(
                f"the replication slot {settings.stream_slot!r} can go on: what Debezium has"
                " not read yet would be lost with it",
                "add --force if that is what you want",
            )
        say("stopping Debezium")
        _stop(settings, connector)
        say("forgetting its position, replacing the slot")
        _ask(settings, "DELETE", f"{connector}/offsets")
        cursor.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE slot_name = %s",
            (settings.stream_slot,),
        )
        cursor.execute(
            "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (settings.stream_slot,)
        )
        _ask(settings, "PUT", f"{connector}/resume")


def _is_well(cursor: extensions.cursor, name: str) -> bool:
    try:
        return not read_slot(cursor, name).is_lost
    except MissingError:
        return False


def _stop(settings: Settings, connector: str) -> None:
    """Stop the connector and wait until its task is gone."""
    _ask(settings, "PUT", f"{connector}/stop")
    deadline = time.monotonic() + STOP_SECONDS
    while [w.state for w in read_workers(settings) if w.connector == connector] != ["STOPPED"]:
        if time.monotonic() > deadline:
            raise ServiceError("Debezium does not stop", "see `make logs SERVICE=connect`")
        time.sleep(LOOK_SECONDS)


def _ask(settings: Settings, method: str, what: str) -> None:
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

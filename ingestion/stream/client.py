"""Clients of Kafka, and what kafka-python has no public API for."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import KafkaError

from ingestion.errors import ServiceError
from ingestion.settings import Settings

# How long a client that starts tries to find the broker.
BOOTSTRAP_MS = 5_000

# The library logs every failed attempt; the caller reports the failure once.
logging.getLogger("kafka").setLevel(logging.CRITICAL)


def address(settings: Settings) -> str:
    """The broker, as Kafka's clients want it."""
    return f"{settings.kafka_host}:{settings.kafka_port}"


def client_options(settings: Settings, client: str) -> dict[str, Any]:
    """The options of every client; ``client`` is its name in the broker's log."""
    return {
        "bootstrap_servers": address(settings),
        "client_id": client,
        "bootstrap_timeout_ms": BOOTSTRAP_MS,
        # Reconnect to a restarted broker within seconds.
        "reconnect_backoff_max_ms": 1_000,
        "request_timeout_ms": 15_000,
    }


@contextmanager
def plain_kafka_errors(settings: Settings) -> Iterator[None]:
    """Raise what the library raises as a ``ServiceError``."""
    try:
        yield
    except KafkaError as error:
        # Some of its errors have no text, most of them begin with their name.
        raise ServiceError(
            f"Kafka at {address(settings)}: {str(error) or type(error).__name__}",
            "`make status` shows what runs, `make up` starts it",
        ) from None


@contextmanager
def open_admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """An administrator's client.

    Raises:
        ServiceError: Kafka cannot be reached, or refused what the block asked for.
    """
    with plain_kafka_errors(settings):
        admin = KafkaAdminClient(**client_options(settings, "ingestion-admin"))
        try:
            yield admin
        finally:
            admin.close()


def topic_id(consumer: KafkaConsumer, topic: str) -> str | None:
    """The topic's id as 32 hex digits, or None while the client does not know it.

    A topic that was deleted and created again has another one, and offsets that begin
    at 0 again: without it, objects of both would have the same names.
    """
    found: uuid.UUID | None = consumer._cluster.topic_id(topic)
    return found.hex if found else None


def is_connected(consumer: KafkaConsumer) -> bool:
    """Whether any connection to a broker is open."""
    return any(c.connected for c in list(consumer._manager._conns.values()))

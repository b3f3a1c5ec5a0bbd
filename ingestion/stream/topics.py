"""Kafka's topics: their names, and that they are there as we need them."""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import InvalidPartitionsError, TopicAlreadyExistsError

from ingestion.errors import SettingsError
from ingestion.settings import Settings
from ingestion.stream.client import open_admin
from ingestion.tables import Table

# How long the consumers may be down before changes are lost.
RETENTION = timedelta(days=7)
_TIMESTAMP_TYPE = "message.timestamp.type"
_TOPIC = {
    "retention.ms": str(RETENTION // timedelta(milliseconds=1)),
    # An object's day and hour follow from it: the producer's clock may be anything.
    _TIMESTAMP_TYPE: "LogAppendTime",
}
# A dead letter is its record and some headers: where the record was just small
# enough, it must not be too large.
_DEAD_LETTERS = {**_TOPIC, "max.message.bytes": str(8 * 2**20)}

_PART = r'(?:"(?:[^"]|"")+"|[^".\s]+)'
_SOURCE = re.compile(rf"(?:({_PART})\.)?({_PART})")


def topic_of(settings: Settings, table: Table) -> str:
    """The topic of a table's changes, named as Debezium names it."""
    match = _SOURCE.fullmatch(table.source)
    if match is None:
        raise SettingsError(f"{table.source!r} is not the name of a table")
    schema, name = (_identifier(part or "public") for part in match.groups())
    return re.sub(r"[^a-zA-Z0-9._-]", "_", f"{settings.stream_topic_prefix}.{schema}.{name}")


def _identifier(part: str) -> str:
    """An identifier as SQL reads it: unchanged in quotes, else in lower case."""
    return part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()


def dead_letter_topic(settings: Settings) -> str:
    """The topic of the records that could not be read."""
    return f"{settings.stream_topic_prefix}.dead_letters"


def ensure_topics(settings: Settings, tables: Sequence[Table]) -> None:
    """Make the topics that are missing, and add partitions where there are too few.

    Any number of processes may do it at once. Partitions are never removed:
    Kafka cannot.

    Raises:
        ServiceError: Kafka cannot be reached, or refuses.
    """
    wanted = {topic_of(settings, table): settings.stream_consumers for table in tables}
    wanted[dead_letter_topic(settings)] = 1
    with open_admin(settings) as admin:
        present = {
            topic["name"]: len(topic["partitions"])
            for topic in admin.describe_topics(list(wanted))
            if topic["error_code"] == 0
        }
        for topic, partitions in wanted.items():
            config = _DEAD_LETTERS if topic == dead_letter_topic(settings) else _TOPIC
            if topic not in present:
                _create(admin, topic, partitions, config)
                continue
            _configure(admin, topic, config)
            if present[topic] < partitions:
                with suppress(InvalidPartitionsError):  # another process was first
                    admin.create_partitions({topic: partitions})
        admin.wait_for_topics(list(wanted))


def _create(admin: KafkaAdminClient, topic: str, partitions: int, config: dict[str, str]) -> None:
    options = {"num_partitions": partitions, "replication_factor": -1, "configs": config}
    with suppress(TopicAlreadyExistsError):  # another process was first
        admin.create_topics({topic: options})


def _configure(admin: KafkaAdminClient, topic: str, config: dict[str, str]) -> None:
    """Give the topic our configuration if it was not us who made it.

    A retention that was changed since is left as it is.
    """
    described = admin.describe_configs([ConfigResource("TOPIC", topic)])["topic"][topic]
    found = described.get(_TIMESTAMP_TYPE, {}).get("value")
    if found != config[_TIMESTAMP_TYPE]:
        admin.alter_configs([ConfigResource("TOPIC", topic, config)])

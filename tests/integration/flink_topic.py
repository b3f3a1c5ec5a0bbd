"""The topic of Flink's job, as Debezium would fill it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from kafka import KafkaProducer

from ingestion.stream.client import open_admin
from ingestion.stream.topics import ensure_topics
from tests.integration.conftest import Corner
from tests.integration.small_lake import IMAGE

# Of the topic's first change: later than what gold says, and an hour of windows before now.
BEGAN = datetime.now(UTC) - timedelta(hours=1)


class Topic:
    """The source's topic, written by hand: every record at a place of the test's choice."""

    def __init__(self, corner: Corner) -> None:
        corner.configure("loan_applications", "application_id")
        self.settings = corner.settings.model_copy(
            update={"stream_topic_prefix": corner.schema, "stream_consumers": 2}
        )
        [self.table] = corner.tables.tables
        self.name = f"{corner.schema}.{corner.schema}.loan_applications"
        self.environment = {
            "STREAM_TOPIC_PREFIX": corner.schema,
            "INGESTION_TABLES_FILE": str(corner.tables_file),
        }
        self.lsn = 1_000
        self.make()

    def make(self) -> None:
        ensure_topics(self.settings, [self.table])
        self.producer = KafkaProducer(
            bootstrap_servers=f"{self.settings.kafka_host}:{self.settings.kafka_port}",
            transactional_id=self.name,
        )
        self.producer.init_transactions()

    def delete(self) -> None:
        self.producer.close()
        with open_admin(self.settings) as admin:
            admin.delete_topics([self.name])

    def send(self, key: int | None, op: str, row: dict[str, Any] | None = None) -> None:
        """A change as Debezium writes it; microseconds after the one before."""
        self.lsn += 1
        value = {
            "before": None,
            "after": row,
            "source": {"lsn": self.lsn, "txId": 1, "ts_us": microseconds(BEGAN) + self.lsn},
            "op": op,
        }
        self.send_raw(key, json.dumps(value).encode())

    def send_raw(self, key: int | None, value: bytes) -> None:
        self.producer.begin_transaction()
        known = None if key is None else json.dumps({"application_id": key}).encode()
        self.producer.send(self.name, value, known, partition=(key or 0) % 2)
        self.producer.commit_transaction()

    def score(self, key: int, score: int) -> None:
        self.send(key, "u", row(score))


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def row(score: int | None = 600, **changed: Any) -> dict[str, Any]:
    return {**IMAGE, "credit_score": score, **changed}


def recent(purpose: str, minutes: int, **changed: Any) -> dict[str, Any]:
    """An application so many minutes ago, away from the ends of windows."""
    created_at = f"{minutes_ago(minutes):%Y-%m-%dT%H:%M:%S.%fZ}"
    return row(loan_intent=purpose, created_at=created_at, **changed)


def minutes_ago(minutes: int) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)

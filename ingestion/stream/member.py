"""A process of the consumers' group: from its start to its end."""

import socket
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError

from ingestion.errors import IngestionError
from ingestion.settings import Settings
from ingestion.stream.client import address, client_options, plain_kafka_errors
from ingestion.stream.consumer import COMMIT_MS, Consumer, Say
from ingestion.stream.status_reporter import StatusReporter
from ingestion.stream.topics import ensure_topics, topic_of
from ingestion.tables import Table

# A consumer that is killed has this long to come back before others get its
# partitions. It must outlast a restart, and a broker's.
SESSION_MS = 30_000
# By its answer, a member learns that the others wait for it to rebalance.
HEARTBEAT_MS = 1_000
# A rebalance waits this long for a member that does not poll. Ours do so every few
# seconds, whatever happens.
MAX_POLL_INTERVAL_MS = 60_000
# Records of one poll: enough to spread what a poll costs, few enough to be soon done.
POLL_RECORDS = 2_000
# Of one fetch and partition, compressed: about a buffer's worth of JSON.
FETCH_BYTES = 2 * 2**20


@dataclass(frozen=True)
class Member:
    """Which consumer of the group to be.

    ``skip_lost``: go on behind records that Kafka deleted before they landed, instead
    of raising an error.
    """

    settings: Settings
    tables: tuple[Table, ...]
    number: int
    skip_lost: bool = False

    @property
    def name(self) -> str:
        """What the group knows it by, over restarts."""
        return f"{self.settings.stream_group}-{self.number}"


def consume(member: Member, say: Say, stop: threading.Event) -> None:
    """Land changes until ``stop`` is set; while Kafka or MinIO are away, wait and say so.

    Raises:
        LockedError: another process is the same consumer.
        DataError: records were deleted before they landed, or something that no
            consumer wrote is in an object's place.
        ServiceError: Kafka refuses.
    """
    if (kafka := _open(member, say, stop)) is not None:
        consumer = Consumer(member.settings, kafka, say, skip_lost=member.skip_lost)
        topics = [topic_of(member.settings, table) for table in member.tables]
        kafka.subscribe(topics, listener=_Listener(consumer))
        say(f"started as {member.name}")
        try:
            with plain_kafka_errors(member.settings):
                consumer.run(stop)
        finally:
            # A static member does not leave: its partitions wait for it, for a session.
            kafka.close(autocommit=False, timeout_ms=COMMIT_MS)
    say("stopped")


def _open(member: Member, say: Say, stop: threading.Event) -> KafkaConsumer | None:
    """Kafka's client, as soon as Kafka is there; None if told to stop before."""
    settings = member.settings
    status = StatusReporter(
        say, f"waits for Kafka at {address(settings)}", f"found Kafka at {address(settings)}"
    )
    while not stop.is_set():
        try:
            # A client that cannot connect leaves its thread behind; look first.
            socket.create_connection((settings.kafka_host, settings.kafka_port), 2).close()
            ensure_topics(settings, member.tables)
            kafka = KafkaConsumer(**consumer_options(member))
        except (OSError, IngestionError, KafkaError) as error:
            status.failed(str(error))
            stop.wait(1)
        else:
            status.works()
            return kafka
    return None


def consumer_options(member: Member) -> dict[str, Any]:
    """How the member's client of Kafka works."""
    return {
        **client_options(member.settings, member.name),
        "group_id": member.settings.stream_group,
        # Static and sticky: one that restarts within the session gets its partitions
        # back, and the others do not notice.
        "group_instance_id": member.name,
        "partition_assignment_strategy": [CooperativeStickyAssignor],
        "session_timeout_ms": SESSION_MS,
        "heartbeat_interval_ms": HEARTBEAT_MS,
        "max_poll_interval_ms": MAX_POLL_INTERVAL_MS,
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        # An offset that is not there is an error, not a reason to go elsewhere.
        "auto_offset_reset": "none",
        "max_poll_records": POLL_RECORDS,
        "max_partition_fetch_bytes": FETCH_BYTES,
        # Added partitions are noticed within this time.
        "metadata_max_age_ms": 60_000,
        "allow_auto_create_topics": False,
        # They cost half a dozen calls per record, and nobody reads them.
        "metrics_enabled": False,
    }


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka is untyped
    """Called within ``poll``: on another thread, while the consumer's own waits."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._consumer.on_partitions_assigned(assigned)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self._consumer.on_partitions_revoked(revoked)

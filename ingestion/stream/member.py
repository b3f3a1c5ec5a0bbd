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
from ingestion.stream.consumer import COMMIT_MS, Consumer
from ingestion.stream.status_reporter import StatusReporter, WriteLogLine
from ingestion.stream.topics import ensure_topics, topic_of
from ingestion.tables import Table

# A consumer that is killed has this long to come back before others get its
# partitions. It must outlast a restart, and a broker's.
SESSION_MS = 30_000
# The heartbeat's response tells a member that the group is rebalancing.
HEARTBEAT_MS = 1_000
# A rebalance waits this long for a member that does not poll. Ours poll every few
# seconds even while uploads fail.
MAX_POLL_INTERVAL_MS = 60_000
# Records of one poll: enough to spread its fixed cost, few enough to process quickly.
POLL_RECORDS = 2_000
# Of one fetch and partition, compressed: about a buffer's worth of JSON.
FETCH_BYTES = 2 * 2**20


@dataclass(frozen=True)
class Member:
    """Which consumer of the group to be.

    ``skip_lost``: skip records that Kafka deleted before they landed, instead of raising
    an error.
    """

    settings: Settings
    tables: tuple[Table, ...]
    number: int
    skip_lost: bool = False

    @property
    def name(self) -> str:
        """Its group instance id, which stays the same over restarts."""
        return f"{self.settings.stream_group}-{self.number}"


def consume(member: Member, report: WriteLogLine, stop: threading.Event) -> None:
    """Land changes until ``stop`` is set; while Kafka or MinIO are down, wait and report it.

    Raises:
        LockedError: another process is the same consumer.
        DataError: records were deleted before they landed, or something that no
            consumer wrote is in an object's place.
        ServiceError: Kafka refuses.
    """
    if (kafka := _open(member, report, stop)) is not None:
        consumer = Consumer(member.settings, kafka, report, skip_lost=member.skip_lost)
        topics = [topic_of(member.settings, table) for table in member.tables]
        kafka.subscribe(topics, listener=_Listener(consumer))
        report(f"started as {member.name}")
        try:
            with plain_kafka_errors(member.settings):
                consumer.run(stop)
        finally:
            # A static member does not leave the group: its partitions stay assigned to it
            # until its session times out.
            kafka.close(autocommit=False, timeout_ms=COMMIT_MS)
    report("stopped")


def _open(member: Member, report: WriteLogLine, stop: threading.Event) -> KafkaConsumer | None:
    """Kafka's client, once Kafka answers; None if ``stop`` is set before."""
    settings = member.settings
    status = StatusReporter(
        report, f"waiting for Kafka at {address(settings)}", f"connected to {address(settings)}"
    )
    while not stop.is_set():
        try:
            # A client that cannot connect leaks its thread: test the port first.
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
    """The options of the member's Kafka client."""
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
        # An offset that is out of range is an error, not a reason to read elsewhere.
        "auto_offset_reset": "none",
        "max_poll_records": POLL_RECORDS,
        "max_partition_fetch_bytes": FETCH_BYTES,
        # Added partitions are noticed within this time.
        "metadata_max_age_ms": 60_000,
        "allow_auto_create_topics": False,
        # They cost half a dozen calls per record and are not used.
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

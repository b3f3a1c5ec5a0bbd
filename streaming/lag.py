"""How far the job is behind its topic."""

import time
from contextlib import closing

from kafka import KafkaConsumer, TopicPartition

from ingestion.errors import ServiceError
from ingestion.stream.client import address, client_options, plain_kafka_errors
from streaming.settings import JobSettings

# For Kafka to answer: it is asked for one record of each partition.
TIMEOUT_SECONDS = 15


def group_of(job: str) -> str:
    """The group under which Flink commits what the job's newest checkpoint has."""
    return f"streaming-{job}"


def read_lag(settings: JobSettings, topic: str, job: str) -> int:
    """How many offsets the job's newest checkpoint lacks; 0 if no record is left to read.

    Flink's own figures (``pendingRecords``) would not do: its REST API answers with what they
    were when it was asked before, and with nothing while the job restarts. A transaction's
    marker has an offset, too, and Flink commits only what it has read: so we count from the
    first record that is left, which is looked for.

    Raises ServiceError: Kafka does not answer.
    """
    options = {
        **client_options(settings, "streaming-status"),
        "group_id": group_of(job),
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",
        "allow_auto_create_topics": False,
    }
    with plain_kafka_errors(settings), closing(KafkaConsumer(**options)) as consumer:
        numbers = consumer.partitions_for_topic(topic) or ()
        partitions = [TopicPartition(topic, number) for number in numbers]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        firsts = first_records(consumer, ends, settings)
    return sum(ends[partition] - offset for partition, offset in firsts.items())


def first_records(
    consumer: KafkaConsumer, ends: dict[TopicPartition, int], settings: JobSettings
) -> dict[TopicPartition, int]:
    """The offset of the first record from the group's on; no entry if there is none."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    found: dict[TopicPartition, int] = {}

    def is_open(partition: TopicPartition) -> bool:
        return partition not in found and consumer.position(partition) < ends[partition]

    while any(is_open(partition) for partition in ends):
        if time.monotonic() > deadline:
            raise ServiceError(
                f"Kafka at {address(settings)} has sent no record for {TIMEOUT_SECONDS} s",
                "`make logs SERVICE=kafka` shows its log",
            )
        for partition, records in consumer.poll(timeout_ms=1_000, max_records=1).items():
            found[partition] = records[0].offset
            consumer.pause(partition)
    return found

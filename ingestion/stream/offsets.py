"""How far the consumers are in each partition, and where its log ends."""

from collections.abc import Sequence
from dataclasses import dataclass

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec

from ingestion.errors import MissingError
from ingestion.settings import Settings
from ingestion.stream.commit_metadata import CommitMetadata
from ingestion.stream.topics import topic_of
from ingestion.tables import Table


@dataclass(frozen=True)
class Position:
    """A partition: offsets of its log.

    Attributes:
        landed: nothing before it has still to land.
        rows: how many rows have landed.
        end: where the log ends, transactions that are under way included.
    """

    topic: str
    partition: int
    landed: int
    rows: int
    end: int

    @property
    def lag(self) -> int:
        """How many offsets have still to land."""
        return max(0, self.end - self.landed)


def read_positions(
    admin: KafkaAdminClient, settings: Settings, tables: Sequence[Table]
) -> list[Position]:
    """The positions of all partitions of the tables' topics.

    Raises:
        MissingError: a topic does not exist.
    """
    partitions = _partitions(admin, [topic_of(settings, table) for table in tables])
    found = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    committed = admin.list_group_offsets(settings.stream_group)[settings.stream_group]
    positions = []
    for partition in partitions:
        note = CommitMetadata.of(committed[partition]) if partition in committed else None
        landed, rows = (note.seen, note.landed.rows) if note else (0, 0)
        end = found[partition].offset
        positions.append(Position(partition.topic, partition.partition, landed, rows, end))
    return positions


def _partitions(admin: KafkaAdminClient, topics: Sequence[str]) -> list[TopicPartition]:
    partitions = []
    for topic in admin.describe_topics(list(dict.fromkeys(topics))):
        if topic["error_code"] != 0:
            raise MissingError(
                f"Kafka has no topic {topic['name']}", "`python -m ingestion stream capture`"
            )
        numbers = [partition["partition_index"] for partition in topic["partitions"]]
        partitions += [TopicPartition(topic["name"], number) for number in numbers]
    return sorted(partitions)


@dataclass(frozen=True)
class ConsumerGroup:
    """The consumers: the group's state in Kafka's words, who is in it and reads what."""

    state: str
    members: dict[str, list[TopicPartition]]

    def reader(self, topic: str, partition: int) -> str | None:
        """The consumer that has the partition."""
        wanted = TopicPartition(topic, partition)
        return next((name for name, has in self.members.items() if wanted in has), None)


def read_group(admin: KafkaAdminClient, settings: Settings) -> ConsumerGroup:
    """The consumers' group as Kafka sees it: one that was killed stays for a session."""
    found = admin.describe_groups([settings.stream_group])[settings.stream_group]
    members = {}
    for member in found["members"]:
        assigned = (member["member_assignment"] or {}).get("assigned_partitions", [])
        members[member["group_instance_id"] or member["client_id"]] = [
            TopicPartition(topic["topic"], number)
            for topic in assigned
            for number in topic["partitions"]
        ]
    return ConsumerGroup(found["group_state"], dict(sorted(members.items())))

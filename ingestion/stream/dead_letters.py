"""Records that could not be read: kept as they were, with the reason.

The object is authoritative, and there is one per record. The message in Kafka is a
notification and may be sent twice.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from kafka import KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, MessageSizeTooLargeError

from ingestion.errors import DataError
from ingestion.settings import Settings
from ingestion.storage import Bronze, to_json_line
from ingestion.stream.client import client_options, plain_kafka_errors
from ingestion.stream.envelope import read
from ingestion.stream.object_keys import TopicPartitionId, utc
from ingestion.stream.topics import dead_letter_topic

FOLDER = "dead_letters"
_SUFFIX = ".json"
_REPLAYED_SUFFIX = ".replayed.json"
# What the producer itself would refuse; the broker has the last word.
_MAX_REQUEST = 64 * 2**20


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A record, its position and why it could not be read (key and value in base64)."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    timestamp: int
    reason: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]

    @classmethod
    def of(cls, log: TopicPartitionId, record: ConsumerRecord, reason: str) -> "DeadLetter":
        """The dead letter that a record becomes."""
        return cls(
            topic=log.topic,
            topic_id=log.topic_id,
            partition=log.partition,
            offset=record.offset,
            timestamp=record.timestamp,
            reason=reason,
            key=record.key,
            value=record.value,
            headers=record.headers,
        )

    @property
    def position(self) -> str:
        """Where the record was, for people: ``topic/partition/offset``."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def object_key(self) -> str:
        """Where it is kept."""
        log = TopicPartitionId(self.topic, self.topic_id, self.partition)
        day = f"{utc(self.timestamp):%Y-%m-%d}"
        return f"{FOLDER}/{self.topic}/dt={day}/{log.position}+{self.offset:020}{_SUFFIX}"


class DeadLetters:
    """Where dead letters go. Safe to use from several threads."""

    def __init__(self, settings: Settings, bronze: Bronze) -> None:
        self._settings = settings
        self._bronze = bronze
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None

    def land(self, letter: DeadLetter) -> None:
        """Store the record, if it is not stored yet, and notify the dead-letter topic.

        Raises:
            ServiceError, MissingError: bronze or Kafka failed; do it again.
        """
        content = msgspec.json.encode(letter) + b"\n"
        self._bronze.put_first(letter.object_key, content, "application/json")
        self._publish(letter)

    def _publish(self, letter: DeadLetter) -> None:
        headers = {
            "reason": letter.reason,
            "topic": letter.topic,
            "partition": str(letter.partition),
            "offset": str(letter.offset),
        }
        with self._lock, plain_kafka_errors(self._settings):
            try:
                self._producer = self._producer or open_producer(self._settings)
                send(
                    self._producer,
                    dead_letter_topic(self._settings),
                    letter,
                    [(name, value.encode()) for name, value in headers.items()],
                )
            except MessageSizeTooLargeError:
                pass  # the object has it; no message may hold up the stream
            except KafkaError:
                self._drop_producer()  # some errors it never recovers from
                raise

    def _drop_producer(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            producer.close(timeout=0)


def open_producer(settings: Settings) -> KafkaProducer:
    """A producer of unchanged records of any size."""
    options = client_options(settings, "ingestion-dead-letters")
    return KafkaProducer(
        **options, max_request_size=_MAX_REQUEST, compression_type="lz4", max_block_ms=15_000
    )


def send(
    producer: KafkaProducer,
    topic: str,
    letter: DeadLetter,
    headers: list[tuple[str, bytes]],
    partition: int | None = None,
) -> None:
    """Send the record and wait until Kafka has it."""
    # The library sends no record without key and value.
    value = b"" if letter.key is None and letter.value is None else letter.value
    sent = producer.send(topic, value, letter.key, headers, partition)
    sent.get(timeout=30)


def read_letter(bronze: Bronze, key: str) -> DeadLetter:
    """Read a dead letter.

    Raises:
        DataError: the object is none.
    """
    try:
        return msgspec.json.decode(bronze.get(key), type=DeadLetter)
    except msgspec.MsgspecError as error:
        raise DataError(f"{bronze.uri(key)} is no dead letter: {error}") from None


@dataclass(frozen=True)
class Kept:
    """A dead letter's object, and whether its record was replayed."""

    key: str
    is_replayed: bool

    @property
    def position(self) -> str:
        """Where the record was, as in ``DeadLetter.position``."""
        topic, _, partition, offset = self.key.rsplit("/", 1)[1].removesuffix(_SUFFIX).split("+")
        return f"{topic}/{int(partition)}/{int(offset)}"


def kept_letters(settings: Settings, bronze: Bronze) -> list[Kept]:
    """All dead letters of this stream, by topic and day."""
    keys = list(bronze.keys(f"{FOLDER}/{settings.stream_topic_prefix}."))
    replayed = {
        key.removesuffix(_REPLAYED_SUFFIX) for key in keys if key.endswith(_REPLAYED_SUFFIX)
    }
    return [
        Kept(key, key.removesuffix(_SUFFIX) in replayed)
        for key in keys
        if not key.endswith(_REPLAYED_SUFFIX)
    ]


def replay(
    settings: Settings, bronze: Bronze, kept: Iterable[Kept], *, dry_run: bool
) -> Iterator[tuple[DeadLetter, str | None]]:
    """Send the records of dead letters to their topics again, those that can be read now.

    Yields each letter that was not replayed before, and why it still cannot be read,
    if so. A letter is marked after its record was sent: killed in between, it is sent
    again by the next replay, which silver does not mind.

    Raises:
        ServiceError: Kafka or bronze failed. What was yielded before is done.
    """
    producer = None
    try:
        for one in kept:
            if one.is_replayed:
                continue
            letter = read_letter(bronze, one.key)
            problem = read(letter.key, letter.value).problem
            if problem is None and not dry_run:
                with plain_kafka_errors(settings):
                    producer = producer or open_producer(settings)
                    headers = [(name, value or b"") for name, value in letter.headers]
                    headers.append(("replayed", letter.position.encode()))
                    send(producer, letter.topic, letter, headers, letter.partition)
                mark = {"replayed_at": datetime.now(UTC).isoformat(timespec="seconds")}
                marker = one.key.removesuffix(_SUFFIX) + _REPLAYED_SUFFIX
                bronze.put_first(marker, to_json_line(mark), "application/json")
            yield letter, problem
    finally:
        if producer is not None:
            producer.close()

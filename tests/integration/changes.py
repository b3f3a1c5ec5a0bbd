"""A topic as Debezium would fill it, consumers of it, and what they landed."""

import itertools
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from typer.testing import CliRunner

from ingestion.settings import Settings
from ingestion.storage import Bronze
from ingestion.stream.client import open_admin
from ingestion.stream.commands import stream_app
from ingestion.stream.consumer import Consumer
from ingestion.stream.member import Member, consumer_options
from ingestion.stream.topics import ensure_topics, topic_of

dice = random.Random()
# Against a hang, not a claim about speed: these run on any machine.
TIMEOUT_SECONDS = 120


def eventually(true: Callable[[], Any], what: str) -> None:
    """Wait until it is."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)


@dataclass
class Object:
    """A landed object."""

    key: str
    start: int
    end: int
    table: pa.Table

    @cached_property
    def numbers(self) -> list[int]:
        """Those of its rows."""
        return [json.loads(key)["id"] for key in self.table["key"].to_pylist() if key is not None]


class Changes:
    """A topic of its own, in the corner of a test; its rows have unique numbers."""

    def __init__(self, corner: Any, partitions: int) -> None:
        self.corner = corner
        self.name = corner.configure("things")
        self.settings: Settings = corner.settings.model_copy(
            update={
                "stream_topic_prefix": corner.schema,
                "stream_group": corner.schema,
                "stream_consumers": partitions,
            }
        )
        (self.table,) = corner.tables.tables
        self.topic = topic_of(self.settings, self.table)
        self.sent: set[int] = set()
        self._numbers = itertools.count()
        self._objects: dict[str, Object] = {}
        ensure_topics(self.settings, [self.table])
        self._producer = KafkaProducer(
            bootstrap_servers=f"{self.settings.kafka_host}:{self.settings.kafka_port}",
            transactional_id=corner.schema,
            compression_type="lz4",
            metadata_max_age_ms=500,  # a test may add partitions
        )
        self._producer.init_transactions()

    def close(self) -> None:
        self._producer.close()
        with self.admin() as admin:
            admin.delete_topics([self.topic, f"{self.corner.schema}.dead_letters"])

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        with open_admin(self.settings) as admin:
            yield admin

    @cached_property
    def bronze(self) -> Bronze:
        return Bronze(self.settings)

    def send(
        self, rows: int, *, abort: bool = False, partition: int | None = None, **row: Any
    ) -> None:
        """Write a transaction, and commit or abort it."""
        numbers = [next(self._numbers) for _ in range(rows)]
        self._producer.begin_transaction()
        for number in numbers:
            value = {
                "before": None,
                "after": {"id": number, **row},
                "source": {"lsn": number, "txId": 1, "ts_us": 1_700_000_000_000_000 + number},
                "op": "c",
            }
            to = dice.randrange(self.settings.stream_consumers) if partition is None else partition
            key = json.dumps({"id": number}).encode()
            self._producer.send(self.topic, json.dumps(value).encode(), key, partition=to)
        if abort:
            self._producer.flush()  # so that there is something in the log to abort
            self._producer.abort_transaction()
        else:
            self._producer.commit_transaction()
            self.sent.update(numbers)

    def send_raw(self, key: bytes | None, value: bytes | None, partition: int = 0) -> int:
        """Write a record as it is; its offset."""
        self._producer.begin_transaction()
        sent = self._producer.send(self.topic, value, key, [("h", b"1")], partition)
        self._producer.commit_transaction()
        return int(sent.get(timeout=TIMEOUT_SECONDS).offset)

    def environment(self, **changed: str) -> dict[str, str]:
        """That of a process which meets this topic, and not the stack's own."""
        return {
            **self.corner.environment(),
            "STREAM_TOPIC_PREFIX": self.settings.stream_topic_prefix,
            "STREAM_GROUP": self.settings.stream_group,
            "STREAM_CONSUMERS": str(self.settings.stream_consumers),
            "INGESTION_TABLES_FILE": str(self.corner.tables_file),
            **changed,
        }

    def run(self, *arguments: str) -> str:
        """Run a command of the stream; what it prints.

        Raises:
            IngestionError: what a user would see as an error.
        """
        environment = self.environment()
        result = CliRunner().invoke(stream_app, arguments, env=environment, catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    def consumer(self, number: int = 1, *options: str, **environment: str) -> "Process":
        """Start a real consumer process."""
        return Process(self, number, options, environment)

    @contextmanager
    def client(self, number: int | None = 1) -> Iterator[KafkaConsumer]:
        """A consumer's own client of Kafka; without number, one that is no member."""
        options = consumer_options(Member(self.settings, (self.table,), number or 0))
        if number is None:
            del options["group_instance_id"]
        client = KafkaConsumer(**options)
        try:
            yield client
        finally:
            client.close()

    def outsider(self, client: KafkaConsumer, *partitions: int) -> Consumer:
        """A consumer that assigned itself partitions, also if a member of the group has them."""
        taken = [TopicPartition(self.topic, partition) for partition in partitions]
        client.assign(taken)
        consumer = Consumer(self.settings, client, report=print)
        consumer.on_partitions_assigned(taken)
        return consumer

    def land(self) -> None:
        """Land all that is in the topic, by a consumer in this process."""
        stop = threading.Event()
        partitions = range(self.settings.stream_consumers)
        with self.client(None) as client:
            consumer = self.outsider(client, *partitions)
            ends = client.end_offsets([TopicPartition(self.topic, p) for p in partitions])
            while consumer.holds_records or any(client.position(p) < e for p, e in ends.items()):
                consumer.poll_once()
            stop.set()
            consumer.run(stop)

    def forget_offsets(self) -> None:
        """As if no consumer had ever committed."""
        with self.admin() as admin:
            partitions = [TopicPartition(self.topic, partition) for partition in self.committed()]
            admin.delete_group_offsets(self.settings.stream_group, partitions)
        assert self.committed() == {}

    def committed(self) -> dict[int, Any]:
        """The group's offsets, by partition."""
        with self.admin() as admin:
            found = admin.list_group_offsets(self.settings.stream_group)
        return {
            partition.partition: offset
            for partition, offset in found[self.settings.stream_group].items()
            if partition.topic == self.topic
        }

    def offsets(self) -> dict[int, int]:
        """Up to where the group has committed, by partition."""
        return {partition: found.offset for partition, found in self.committed().items()}

    def objects(self) -> dict[int, list[Object]]:
        """What has landed, by partition, in the order of the chain."""
        bronze = self.bronze
        found: dict[int, list[Object]] = {}
        for key in bronze.keys(f"cdc/{self.topic}/"):
            match = re.fullmatch(r".*\+[0-9a-f]{32}\+(\d{5})\+(\d{20})\.parquet", key)
            assert match, key
            if key not in self._objects:  # an object never changes
                table = pq.read_table(pa.BufferReader(bronze.get(key)))
                end = int(bronze.metadata(key)["end-offset"])
                self._objects[key] = Object(key, int(match[2]), end, table)
            found.setdefault(int(match[1]), []).append(self._objects[key])
        return {p: sorted(objects, key=lambda o: o.start) for p, objects in sorted(found.items())}

    def landed(self) -> Counter[int]:
        """The numbers of the rows that have landed, and how often."""
        numbers = Counter[int]()
        for one in itertools.chain.from_iterable(self.objects().values()):
            numbers.update(one.numbers)
        return numbers

    def wait_until_landed(self) -> None:
        eventually(lambda: self.sent <= set(self.landed()), "everything has landed")

    def check(self) -> None:
        """Each row that was committed landed once, in chains without gaps."""
        for objects in self.objects().values():
            expected = 0
            for one in objects:
                assert one.start == expected, one.key
                offsets = one.table["offset"].to_pylist()
                assert one.start <= min(offsets)
                assert max(offsets) < one.end
                assert set(one.table["object_start"].to_pylist()) == {one.start}
                assert set(one.table["object_end"].to_pylist()) == {one.end}
                expected = one.end
        assert self.landed() == Counter(self.sent)


class Process:
    """A real consumer."""

    def __init__(
        self, changes: Changes, number: int, options: tuple[str, ...], environment: dict[str, str]
    ) -> None:
        self._log = Path(changes.corner.folder / f"consumer-{number}-{time.monotonic_ns()}.log")
        with self._log.open("wb") as log:
            self.popen = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ingestion", "stream", "consume"),
                    *("--number", str(number), *options),
                ],
                env=changes.environment(**environment),
                stderr=log,
                stdout=log,
                cwd=changes.corner.folder,
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        def printed() -> bool:
            assert self.popen.poll() is None or self.output.count(text) >= times, self.output
            return self.output.count(text) >= times

        eventually(printed, f"the consumer says {text!r}")

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> None:
        """As supervisor does; it must end well."""
        self.popen.terminate()
        assert self.popen.wait(TIMEOUT_SECONDS) == 0, self.output
        assert "stopped" in self.output

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

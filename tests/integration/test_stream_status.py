"""Waiting and looking, with a Debezium, a topic and consumers of the test's own."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from infra.paths import INFRA
from ingestion.errors import DataError, MissingError, ServiceError
from ingestion.postgres import connect_capture
from ingestion.settings import Settings
from ingestion.stream import recent_objects
from ingestion.stream.capture import capture
from ingestion.stream.commands import stream_app
from ingestion.stream.connect import address, read_workers
from ingestion.stream.offsets import read_positions
from ingestion.stream.reset_slot import reset_slot
from ingestion.stream.status import Status, read_status
from ingestion.stream.wait import wait_until_landed
from tests.integration.changes import Changes, dice, eventually


class Stream(Changes):
    """The whole way of one table, from the source to bronze."""

    def __init__(self, corner: Any, captured: Settings) -> None:
        super().__init__(corner, partitions=2)
        update = {"stream_publication": corner.schema, "stream_slot": corner.schema}
        self.settings = self.settings.model_copy(update=update)
        self.url = f"{address(captured)}/connectors/{corner.schema}"
        corner.sql(f"CREATE TABLE {corner.schema}.things (id integer PRIMARY KEY)")

    def capture(self) -> None:
        list(capture(self.settings, self.corner.tables, [self.table]))

    def start_debezium(self) -> None:
        config = json.loads((INFRA / "debezium/source.json").read_text())
        config["topic.prefix"] = self.corner.schema
        config["publication.name"] = config["slot.name"] = self.corner.schema
        requests.put(f"{self.url}/config", json=config, timeout=60).raise_for_status()
        eventually(lambda: self.workers() == ["RUNNING", "RUNNING"], "Debezium runs")

    def stop_debezium(self) -> None:
        requests.put(f"{self.url}/stop", timeout=60).raise_for_status()
        eventually(lambda: not self.status().slot.is_active, "Debezium has left the slot")
        # Connect publishes it later, through a topic.
        eventually(lambda: self.workers() == ["STOPPED"], "Connect shows that it has stopped")

    def delete_debezium(self) -> None:
        if requests.delete(self.url, timeout=60).ok:
            eventually(lambda: not self.status().slot.is_active, "Debezium has left the slot")

    def workers(self) -> list[str]:
        workers = read_workers(self.settings)
        return [worker.state for worker in workers if worker.connector == self.corner.schema]

    def insert(self, first: int, last: int) -> None:
        self.corner.sql(
            f"INSERT INTO {self.corner.schema}.things SELECT generate_series({first}, {last})"
        )

    def wait(self, timeout: float = 120) -> None:
        wait_until_landed(self.settings, [self.table], timeout, report=lambda _: None)

    def late(self) -> ServiceError:
        """What waiting in vain says."""
        with pytest.raises(ServiceError) as failure:
            self.wait(timeout=2)
        return failure.value

    def status(self) -> Any:
        return read_status(self.settings, [self.table])

    def show(self, *options: str) -> tuple[int, str]:
        """The exit code of `status`, and what it prints."""
        arguments = ["status", *options]
        done = CliRunner().invoke(stream_app, arguments, env=self.environment())
        return done.exit_code, done.stdout

    def environment(self, **changed: str) -> dict[str, str]:
        return super().environment(
            STREAM_PUBLICATION=self.corner.schema, STREAM_SLOT=self.corner.schema, **changed
        )


@pytest.fixture
def stream(corner: Any, captured: Settings) -> Iterator[Stream]:
    made = Stream(corner, captured)
    yield made
    made.delete_debezium()
    made.close()


def problems(status: Status) -> str:
    return "; ".join(problem.message for problem in status.problems)


def test_after_waiting_all_that_was_committed_has_landed(stream: Stream) -> None:
    stream.capture()
    stream.start_debezium()
    with stream.consumer():
        first = 0
        for _ in range(5):
            for _ in range(dice.randint(1, 5)):
                rows = dice.choice((1, 1, 2000))
                stream.insert(first, first + rows - 1)
                first += rows
            stream.wait()
            assert set(stream.landed()) == set(range(first))
        stream.wait()  # for nothing
        with stream.admin() as admin:
            positions = read_positions(admin, stream.settings, [stream.table])
        assert [position.lag for position in positions] == [0, 0]
        assert sum(position.rows for position in positions) == first


def test_lagging_components_are_named(stream: Stream) -> None:
    with pytest.raises(MissingError, match=r"things are not captured"):
        stream.wait()
    stream.capture()
    stream.insert(1, 1)
    with pytest.raises(ServiceError, match=r"Debezium has not read .* of WAL"):
        stream.wait(timeout=1)
    stream.start_debezium()
    behind = rf"not landed {re.escape(stream.topic)} [01] \(. to go\)"
    eventually(lambda: re.search(behind, stream.late().message), "Debezium has read it")
    assert "make stream-status" in stream.late().hint


def test_a_healthy_stream_has_no_problems(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_objects, "RECENT", timedelta(hours=1))  # however slow the machine is
    stream.capture()
    stream.start_debezium()
    with stream.consumer(1) as one, stream.consumer(2) as two:
        one.wait_for("partitions assigned")
        two.wait_for("partitions assigned")
        for number in range(20):
            stream.insert(number, number)
        stream.wait()
        recent = stream.status().landed[stream.topic].values()
        assert sum(partition.rows for partition in recent) == 20
        code, shown = stream.show("--json")
        status = json.loads(shown)
        assert (code, status["ok"], status["problems"]) == (0, True, [])
        assert {one["lag"] for one in status["positions"]} == {0}
        assert set(status["group"]["members"]) == {f"{stream.corner.schema}-{n}" for n in (1, 2)}
        code, shown = stream.show()
        assert code == 0
        assert "no problems" in shown
        assert f"{stream.corner.schema}-2" in shown


def test_each_problem_has_a_hint(stream: Stream) -> None:
    wrong = problems(stream.status())
    assert "things are not captured" in wrong
    assert "the replication slot has no reader" in wrong
    assert "not in the consumers' group: consumer-1, consumer-2" in wrong
    stream.capture()
    stream.start_debezium()
    stream.send_raw(b"{}", b"no JSON")
    with stream.consumer(1) as consumer:
        consumer.wait_for("partitions assigned")
        eventually(lambda: stream.status().waiting_letters, "the dead letter has landed")
        stream.stop_debezium()
        wrong = problems(stream.status())
    assert "not captured" not in wrong
    assert "the replication slot has no reader" in wrong
    assert f"connector {stream.corner.schema} is STOPPED" in wrong
    assert "not in the consumers' group: consumer-2" in wrong
    assert "records that could not be read: 1" in wrong
    code, shown = stream.show()
    assert code == 1
    assert shown.count("problem:") == shown.count("next:") >= 4


def test_a_dropped_slot_is_replaced_and_the_stream_continues(stream: Stream) -> None:
    name = stream.corner.schema
    stream.capture()
    stream.start_debezium()
    with stream.consumer():
        stream.insert(1, 100)
        stream.wait()
        with pytest.raises(DataError, match="is usable"):
            reset_slot(stream.settings, print, connector=name)
        stream.stop_debezium()
        with closing(connect_capture(stream.settings, "test")) as log, log.cursor() as cursor:
            cursor.execute("SELECT pg_drop_replication_slot(%s)", (name,))
        stream.insert(101, 200)  # these never arrive by the stream
        assert "reset-slot" in stream.status().problems[0].hint

        reset_slot(stream.settings, print, connector=name)

        eventually(lambda: stream.workers() == ["RUNNING", "RUNNING"], "Debezium runs")
        stream.insert(201, 300)
        stream.wait()
        assert set(stream.landed()) == {*range(1, 101), *range(201, 301)}
        assert problems(stream.status()) == "not in the consumers' group: consumer-2"


def test_what_does_not_answer_is_a_problem_and_the_rest_is_shown(stream: Stream) -> None:
    stream.capture()
    nowhere = {"kafka_port": 9, "connect_port": 9, "s3_endpoint": "http://127.0.0.1:9"}
    settings = stream.settings.model_copy(update=nowhere)
    begun = time.monotonic()
    status = read_status(settings, [stream.table])
    assert time.monotonic() - begun < 60
    assert status.slot is not None
    assert (status.positions, status.workers, status.landed) == (None, None, None)
    wrong = problems(status)
    for name in ("Kafka at 127.0.0.1:9", "Kafka Connect at http://127.0.0.1:9", "object store at"):
        assert name in wrong
    status = read_status(stream.settings.model_copy(update={"postgres_port": 9}), [stream.table])
    assert status.slot is None
    assert "cannot connect to PostgreSQL" in problems(status)

"""The consumers on real Kafka and MinIO: every change lands exactly once, under all faults."""

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource

from ingestion.bronze_tables import ensure_tables
from ingestion.errors import DataError, MissingError
from ingestion.stream.dead_letters import DeadLetter, DeadLetters
from ingestion.stream.topics import dead_letter_topic, ensure_topics, topic_of
from tests.integration.changes import Changes, dice, eventually
from tests.s3_proxy import ProxyMode, S3Proxy


@pytest.fixture
def changes(corner: Any) -> Iterator[Changes]:
    made = Changes(corner, partitions=2)
    yield made
    made.close()


@pytest.fixture
def proxy(changes: Changes) -> Iterator[S3Proxy]:
    made = S3Proxy(changes.settings.s3_endpoint)
    yield made
    made.close()


@pytest.mark.slow
def test_everything_lands_once_though_the_consumer_is_killed_again_and_again(
    changes: Changes,
) -> None:
    for _ in range(6):
        with changes.consumer() as consumer:
            consumer.wait_for("partitions assigned")
            until = time.monotonic() + dice.uniform(0.0, 2.5)
            while time.monotonic() < until:
                changes.send(dice.randint(1, 400), abort=dice.random() < 0.3)
            consumer.kill()
        changes.send(dice.randint(1, 2000))
    with changes.consumer() as consumer:
        changes.wait_until_landed()
        consumer.stop()
    changes.check()


def test_what_lands_is_what_was_sent(changes: Changes) -> None:
    changes.send(3, partition=1, text="ä\n\u2028\U0001f600")
    changes.land()
    ((one,),) = changes.objects().values()
    rows = one.table.to_pylist()
    assert [json.loads(row["key"]) for row in rows] == [{"id": 0}, {"id": 1}, {"id": 2}]
    assert [json.loads(row["after"])["text"] for row in rows] == ["ä\n\u2028\U0001f600"] * 3
    assert {row["op"] for row in rows} == {"c"}
    assert {(row["before"], row["problem"]) for row in rows} == {(None, None)}
    assert [(row["lsn"], row["tx_id"], row["offset"]) for row in rows] == [
        (0, 1, 0),
        (1, 1, 1),
        (2, 1, 2),
    ]
    assert {(row["topic"], row["partition"]) for row in rows} == {(changes.topic, 1)}
    produced = rows[0]["produced_at"]
    assert f"/dt={produced:%Y-%m-%d}/hour={produced:%H}/" in one.key
    assert f"+{rows[0]['topic_id']}+" in one.key
    assert all(row["produced_at"] <= row["landed_at"] for row in rows)


def test_trino_sees_what_landed(changes: Changes) -> None:
    corner = changes.corner
    corner.sql(f"CREATE TABLE {corner.schema}.things (id integer PRIMARY KEY)")
    changes.send(100)
    offset = changes.send_raw(b"{}", b"no JSON")
    changes.land()
    ensure_tables(changes.settings, corner.tables, corner.tables.tables)
    shown = corner.trino.query(
        f"SELECT count(*), count(distinct json_extract_scalar(key, '$.id')), sum(lsn),"
        f' max("offset") FILTER (WHERE problem IS NOT NULL), max(landed_at) > max(produced_at),'
        f" date_diff('minute', max(landed_at), localtimestamp) < 60"
        f" FROM hive.{corner.schema}.{changes.name}_changes"
        f" WHERE dt >= current_date - interval '1' day"
    )
    assert shown == [(101, 100, sum(range(100)), offset, True, True)]


def test_a_stopping_consumer_lands_what_it_has_read(changes: Changes) -> None:
    stop = threading.Event()
    changes.send(10, partition=0)
    with changes.client(None) as client:
        consumer = changes.outsider(client, 0)
        while not consumer.holds_records:
            consumer.poll_once()
        stop.set()
        consumer.run(stop)
    changes.check()
    ((one,),) = changes.objects().values()
    assert changes.committed()[0].offset == one.end == 11  # 10 records and their commit


def test_a_lost_commit_is_made_good_by_what_has_landed(changes: Changes) -> None:
    for _ in range(3):
        changes.send(50)
        changes.land()
    before = {p: [o.key for o in objects] for p, objects in changes.objects().items()}
    changes.forget_offsets()

    changes.send(50)
    changes.land()

    changes.check()
    after = {p: [o.key for o in objects] for p, objects in changes.objects().items()}
    assert all(after[p][: len(keys)] == keys for p, keys in before.items())


def test_two_consumers_of_one_partition_land_it_once(changes: Changes) -> None:
    stop = threading.Event()
    with changes.consumer() as consumer, changes.client(None) as client:
        consumer.wait_for("partitions assigned")
        zombie = changes.outsider(client, 0, 1)
        thread = threading.Thread(target=zombie.run, args=(stop,))
        thread.start()
        until = time.monotonic() + 8
        while time.monotonic() < until:
            changes.send(dice.randint(1, 300), abort=dice.random() < 0.2)
        changes.wait_until_landed()
        stop.set()
        thread.join()
        consumer.stop()
    changes.check()


def test_members_that_come_share_the_partitions_and_nothing_lands_twice(corner: Any) -> None:
    changes = Changes(corner, partitions=1)
    try:
        with changes.consumer(1) as first:
            first.wait_for("partitions assigned")
            changes.send(500)
            changes.settings = changes.settings.model_copy(update={"stream_consumers": 3})
            with changes.consumer(2) as second, changes.consumer(3) as third:
                second.wait_for("partitions assigned")  # one of the partitions that it added
                third.wait_for("partitions assigned")
                for _ in range(10):
                    changes.send(100)
                changes.wait_until_landed()
                for consumer in (third, second, first):
                    consumer.stop()
        changes.check()
        assert set(changes.objects()) == {0, 1, 2}
    finally:
        changes.close()


def test_a_second_process_of_the_same_number_ends_the_first(changes: Changes) -> None:
    with changes.consumer(1) as first:
        first.wait_for("partitions assigned")
        with changes.consumer(1) as second:
            second.wait_for("partitions assigned")
            changes.send(100)
            changes.wait_until_landed()
            second.stop()
        assert first.popen.wait(60) == 5, first.output
        assert f"another process has become {changes.corner.schema}-1" in first.output
    changes.check()


@pytest.mark.slow
def test_minio_refuses_and_the_consumer_waits_in_flat_memory(
    changes: Changes, proxy: S3Proxy
) -> None:
    with changes.consumer(S3_ENDPOINT=proxy.endpoint) as consumer:
        consumer.wait_for("partitions assigned")
        changes.send(1000)
        changes.wait_until_landed()
        ends = {p: objects[-1].end for p, objects in changes.objects().items()}
        eventually(lambda: changes.offsets() == ends, "that is committed")
        proxy.mode = ProxyMode.refuse
        changes.send(100)
        consumer.wait_for("upload failed")
        memory = psutil.Process(consumer.popen.pid).memory_info
        before = memory().rss
        for _ in range(20):  # 200 MB of JSON
            changes.send(500, text=dice.randbytes(10_000).hex())
        eventually(lambda: proxy.disturbed > 12, "it has tried for long")
        assert memory().rss - before < 120 * 2**20
        assert changes.offsets() == ends
        assert not changes.sent <= set(changes.landed())
        proxy.mode = ProxyMode.passing
        consumer.wait_for("upload recovered")
        changes.wait_until_landed()
        consumer.stop()
        assert consumer.output.count("upload failed") == 1
        assert "SlowDown" in consumer.output
        assert consumer.output.count("upload recovered") == 1
        assert "partitions revoked" not in consumer.output
    changes.check()


@pytest.mark.slow
@pytest.mark.parametrize("mode", [ProxyMode.slow, ProxyMode.deaf])
def test_minio_is_slow_or_its_answers_get_lost(
    changes: Changes, proxy: S3Proxy, mode: ProxyMode
) -> None:
    with changes.consumer(S3_ENDPOINT=proxy.endpoint) as consumer:
        consumer.wait_for("partitions assigned")
        changes.send(100)
        changes.wait_until_landed()
        proxy.mode = mode
        for _ in range(8):
            changes.send(200)
            time.sleep(0.5)
        if mode == ProxyMode.deaf:
            eventually(lambda: proxy.disturbed, "an answer got lost")
            proxy.mode = ProxyMode.passing
        changes.wait_until_landed()
        consumer.stop()
    changes.check()


def test_a_consumer_stops_though_minio_is_away(changes: Changes, proxy: S3Proxy) -> None:
    with changes.consumer(S3_ENDPOINT=proxy.endpoint) as consumer:
        consumer.wait_for("partitions assigned")
        proxy.mode = ProxyMode.refuse
        changes.send(100)
        consumer.wait_for("upload failed")
        consumer.stop()
        assert "stopped before all records were uploaded" in consumer.output
    assert changes.committed() == {}
    with changes.consumer() as consumer:
        changes.wait_until_landed()
        consumer.stop()
    changes.check()


UNREADABLE = {
    b"not JSON": "malformed",
    b'{"op":"c","source":{"txId":1,"ts_us":1},"after":{}}': "lsn",
    None: "the value is null",
}


def test_what_cannot_be_read_is_kept_and_holds_up_nothing(changes: Changes) -> None:
    changes.send(10, partition=0)
    offsets = {changes.send_raw(b'{"id":1}', value): value for value in UNREADABLE}
    changes.send(10, partition=0)
    changes.land()
    changes.check()  # the chain is whole

    rows = [row for o in changes.objects()[0] for row in o.table.to_pylist()]
    problems = {row["offset"]: row for row in rows if row["problem"]}
    assert set(problems) == set(offsets)
    for offset, row in problems.items():
        assert UNREADABLE[offsets[offset]] in row["problem"]
        assert [row[c] for c in ("key", "op", "before", "after", "lsn", "tx_id")] == [None] * 6

    listed = json.loads(changes.run("dead-letters", "--json"))
    assert {letter["position"] for letter in listed} == {
        f"{changes.topic}/0/{offset}" for offset in offsets
    }
    for letter in listed:
        offset = int(letter["position"].rsplit("/", 1)[1])
        assert letter["reason"] == problems[offset]["problem"]
        assert letter["bytes"] == len(b'{"id":1}') + len(offsets[offset] or b"")
    whole = json.loads(changes.run("dead-letters", "--show", listed[0]["position"]))
    assert (whole["key"], whole["headers"]) == ('{"id":1}', {"h": "1"})
    with pytest.raises(MissingError, match="no dead letter 'no/0/1'"):
        changes.run("dead-letters", "--show", "no/0/1")
    assert f"{changes.topic}/0/" in changes.run("dead-letters")

    messages = dead_letter_messages(changes, len(offsets))
    assert {dict(message.headers)["offset"]: message.value for message in messages} == {
        str(offset).encode(): value for offset, value in offsets.items()
    }
    assert {dict(message.headers)["topic"] for message in messages} == {changes.topic.encode()}


def test_a_dead_letter_is_kept_once_though_its_commit_was_lost(changes: Changes) -> None:
    changes.send_raw(None, b"x")
    changes.land()
    changes.forget_offsets()
    changes.land()
    (key,) = changes.bronze.keys(f"dead_letters/{changes.topic}/")
    letter = json.loads(changes.bronze.get(key))
    assert base64.b64decode(letter["value"]) == b"x"
    assert letter["key"] is None
    assert letter["headers"] == [["h", base64.b64encode(b"1").decode()]]
    changes.check()


def test_replay_sends_what_can_be_read_now_and_only_once(changes: Changes) -> None:
    # As if an older version of the consumer could not read it.
    value = b'{"op":"u","source":{"lsn":1,"txId":1,"ts_us":1},"after":{"id":77}}'
    changes.send_raw(b"", b"never")
    changes.land()
    (key,) = changes.bronze.keys(f"dead_letters/{changes.topic}/")
    identity = json.loads(changes.bronze.get(key))["topic_id"]
    DeadLetters(changes.settings, changes.bronze).land(
        DeadLetter(
            topic=changes.topic,
            topic_id=identity,
            partition=1,
            offset=5,
            timestamp=1_800_000_000_000,
            reason="once upon a time",
            key=b'{"id":77}',
            value=value,
            headers=[("h", b"1")],
        )
    )
    dry = changes.run("replay", "--dry-run")
    assert f"would replay {changes.topic}/1/5" in dry
    assert "still cannot be read" in dry

    assert "replayed: 1, unreadable: 1" in changes.run("replay")
    assert "replayed: 0, unreadable: 1" in changes.run("replay")

    changes.sent.add(77)
    changes.land()
    changes.check()
    listed = json.loads(changes.run("dead-letters", "--json"))
    assert sorted(one["replayed"] for one in listed) == [False, True]


def dead_letter_messages(changes: Changes, count: int) -> list[Any]:
    topic = f"{changes.corner.schema}.dead_letters"
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=f"{changes.settings.kafka_host}:{changes.settings.kafka_port}",
        auto_offset_reset="earliest",
    )
    found: list[Any] = []
    while len(found) < count:
        for records in consumer.poll(timeout_ms=500).values():
            found.extend(records)
    consumer.close()
    return found


def test_records_that_kafka_deleted_are_named_and_skipped_only_on_demand(changes: Changes) -> None:
    changes.send(10, partition=0)
    changes.land()
    landed = changes.objects()[0][-1].end
    changes.send(20, partition=0)
    with changes.admin() as admin:
        admin.delete_records({TopicPartition(changes.topic, 0): landed + 5})
    with changes.consumer() as consumer:
        assert consumer.popen.wait(60) == 3
        lost = f"{changes.topic} 0: offsets {landed} to {landed + 4}"
        assert f"{lost} are deleted" in consumer.output
    with changes.consumer(1, "--skip-lost") as consumer:
        consumer.wait_for(lost)
        eventually(lambda: len(changes.landed()) == 25, "the rest has landed")
        consumer.stop()


def test_offsets_that_kafka_forgot_are_found_in_bronze(changes: Changes) -> None:
    """The group was empty for longer than Kafka keeps its offsets, and the log was cut."""
    changes.send(10, partition=0)
    changes.land()
    landed = changes.objects()[0][-1].end
    changes.forget_offsets()
    with changes.admin() as admin:
        admin.delete_records({TopicPartition(changes.topic, 0): landed - 5})
    changes.send(10, partition=0)
    changes.land()
    changes.check()


def test_offsets_after_the_last_object_are_committed_as_metadata(changes: Changes) -> None:
    """Or a partition whose last records were aborted would always seem to lag."""
    changes.send(10, partition=0)
    with changes.consumer() as consumer:
        changes.wait_until_landed()
        changes.send(10, partition=0, abort=True)
        eventually(
            lambda: 0 in changes.committed() and changes.committed()[0].metadata == "22 10",
            "the end is noted",
        )
        assert changes.committed()[0].offset == 11
        changes.send(10, partition=0)
        changes.wait_until_landed()
        consumer.stop()
    changes.check()


def test_a_topic_that_was_created_again_is_another_log(changes: Changes) -> None:
    changes.send(10, partition=0)
    with changes.client(None) as client:
        consumer = changes.outsider(client, 0)
        while not changes.objects():
            consumer.poll_once()
        with changes.admin() as admin:
            admin.delete_topics([changes.topic])
        ensure_topics(changes.settings, [changes.table])
        changes.send(20, partition=0)
        with pytest.raises(DataError, match=r"created again|lost changes"):
            eventually(consumer.poll_once, "it notices")
    assert changes.landed() == Counter(range(10))


def test_topics_are_made_once_by_many_at_once(changes: Changes) -> None:
    other = changes.settings.model_copy(
        update={"stream_topic_prefix": f"{changes.corner.schema}-x", "stream_consumers": 3}
    )
    topic, dead = topic_of(other, changes.table), dead_letter_topic(other)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ensure_topics(other, [changes.table]), range(4)))
    try:
        assert describe(changes, topic) == (3, "LogAppendTime", str(7 * 24 * 3600 * 1000))
        assert describe(changes, dead)[:2] == (1, "LogAppendTime")
        more = other.model_copy(update={"stream_consumers": 5})
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: ensure_topics(more, [changes.table]), range(4)))
        assert describe(changes, topic)[0] == 5
        ensure_topics(other, [changes.table])
        assert describe(changes, topic)[0] == 5
    finally:
        with changes.admin() as admin:
            admin.delete_topics([topic, dead])


def test_a_topic_that_connect_made_is_configured(changes: Changes) -> None:
    other = changes.settings.model_copy(
        update={"stream_topic_prefix": f"{changes.corner.schema}-x", "stream_consumers": 2}
    )
    topic, dead = topic_of(other, changes.table), dead_letter_topic(other)
    with changes.admin() as admin:
        admin.create_topics({topic: {"num_partitions": 1, "configs": {"retention.ms": "1000"}}})
    try:
        ensure_topics(other, [changes.table])
        assert describe(changes, topic) == (2, "LogAppendTime", str(7 * 24 * 3600 * 1000))
        with changes.admin() as admin:  # an operator wants a longer one
            config = {"retention.ms": "99999999999"}
            admin.alter_configs([ConfigResource("TOPIC", topic, config)])
        ensure_topics(other, [changes.table])
        assert describe(changes, topic) == (2, "LogAppendTime", "99999999999")
    finally:
        with changes.admin() as admin:
            admin.delete_topics([topic, dead])


def describe(changes: Changes, topic: str) -> tuple[int, str, str]:
    """Its partitions, clock and retention."""
    with changes.admin() as admin:
        (described,) = admin.describe_topics([topic])
        config = admin.describe_configs([ConfigResource("TOPIC", topic)], config_filter="all")
    values = config["topic"][topic]
    return (
        len(described["partitions"]),
        values["message.timestamp.type"]["value"],
        values["retention.ms"]["value"],
    )

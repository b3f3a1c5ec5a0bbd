"""Trino's tables over bronze: made once, remade when columns change, metadata only."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from ingestion.errors import IngestionError
from ingestion.stream.buffer import Buffer
from ingestion.stream.object_keys import LandedOffset, TopicPartitionId
from ingestion.stream.topics import topic_of


def actions(corner: Any) -> list[str]:
    return [ensured.action for ensured in corner.ensure_tables()]


def make(corner: Any) -> str:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer PRIMARY KEY, x text)",
        f"INSERT INTO {corner.schema}.t VALUES (1, 'a')",
    )
    return str(corner.configure("t"))


def test_a_table_is_readable_before_anything_landed_and_sees_each_landing(corner: Any) -> None:
    table = make(corner)
    assert actions(corner) == ["created"] * 3
    assert corner.visible(table) == []
    corner.land()
    assert corner.visible(table, "id, x") == [(1, "a")]
    corner.land()
    assert len(corner.visible(table)) == 2
    assert actions(corner) == ["unchanged"] * 3


def test_a_new_column_appears_with_its_first_snapshot(corner: Any) -> None:
    """The older snapshot lacks the column and stays readable."""
    table = make(corner)
    corner.land()
    corner.ensure_tables()
    corner.sql(f"ALTER TABLE {corner.schema}.t ADD y numeric(9,3) DEFAULT 1.5")
    assert actions(corner) == ["unchanged"] * 3
    corner.land()
    assert actions(corner) == ["recreated", "unchanged", "unchanged"]
    assert sorted(corner.visible(table, "id, x, CAST(y AS varchar)"), key=str) == [
        (1, "a", "1.500"),
        (1, "a", None),
    ]


def test_the_manifests_are_a_table(corner: Any) -> None:
    table = make(corner)
    (manifest,) = corner.land()
    corner.ensure_tables()
    columns = "snapshot_id, mode, lsn, xmin, xmax, cardinality(xip), taken_at, landed_at, row_count"
    shown = corner.trino.query(
        f"SELECT {columns}, byte_count, cursor_to, parts[1].object, parts[1].sha256,"
        f" parts[1].row_count, schema[2].name, schema[2].source_type, schema[2].type"
        f" FROM hive.{corner.schema}.batch_snapshots"
        f" WHERE table_name = '{table}' AND dt >= current_date - interval '1' day"
    )
    part = manifest.parts[0]
    assert shown == [
        (
            *(manifest.snapshot_id, "full", manifest.lsn, manifest.xmin, manifest.xmax),
            *(len(manifest.xip), manifest.taken_at, manifest.landed_at, 1, part.byte_count),
            *(None, part.object, part.sha256, 1, "x", "text", "varchar"),
        )
    ]


def land_changes(corner: Any, offset: int, when: datetime, rows: int = 1) -> str:
    """Land an object as a consumer does; its key."""
    log = TopicPartitionId(topic_of(corner.settings, corner.tables.tables[0]), "ab" * 16, 0)
    source = {"lsn": 2**40 + offset, "txId": 2**32 - 1, "ts_us": 1_772_355_600_000_001}
    envelope = {"before": None, "after": {"id": 1}, "op": "u", "source": source}
    value = json.dumps(envelope).encode()
    time = int(when.timestamp() * 1000)
    buffer = Buffer(LandedOffset(offset, 0))
    buffer.add([record(log, offset + row, time, b'{"id":1}', value) for row in range(rows)])
    key = log.object_key(offset, time)
    assert corner.bronze.put_first(key, memoryview(buffer.to_parquet(log)), "")
    return key


def record(
    log: TopicPartitionId, offset: int, time: int, key: bytes, value: bytes
) -> ConsumerRecord:
    sizes = (len(key), len(value), -1)
    return ConsumerRecord(
        log.topic, log.partition, -1, offset, time, 1, key, value, [], None, *sizes
    )


def test_landed_changes_are_a_table_of_days_and_hours(corner: Any) -> None:
    changes = f"hive.{corner.schema}.{make(corner)}_changes"
    corner.ensure_tables()
    march = "dt >= DATE '2026-03-01' AND dt < DATE '2026-04-01'"
    assert corner.trino.query(f"SELECT * FROM {changes} WHERE {march}") == []
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    land_changes(corner, 0, noon, rows=2)
    key = land_changes(corner, 2, noon.replace(hour=7))
    columns = (
        'key, op, before, after, lsn, tx_id, CAST(committed_at AS varchar), topic_id, "offset",'
        " CAST(produced_at AS varchar), object_start, object_end, problem,"
        ' CAST(dt AS varchar), hour, "$path"'
    )
    (row,) = corner.trino.query(f"SELECT {columns} FROM {changes} WHERE {march} AND hour = 7")
    assert row == (
        *('{"id":1}', "u", None, '{"id": 1}', 2**40 + 2, 2**32 - 1),
        *("2026-03-01 09:00:00.000001", "ab" * 16, 2, "2026-03-01 07:00:00.000000"),
        *(2, 3, None, "2026-03-01", 7, corner.bronze.uri(key)),
    )
    assert corner.trino.query(f"SELECT count(*) FROM {changes} WHERE {march}") == [(3,)]


@pytest.mark.parametrize(
    "condition",
    [
        "dt = DATE '2026-03-01' AND hour = 9",
        "dt > DATE '2026-02-28' AND hour >= 9",
        "\"$path\" >= '{folder}/dt=2026-03-01/hour=09/'",
        "\"$path\" IN ('{key}', 'x')",
        "(\"$path\" > '{folder}/dt=2026-03-01/hour=09' AND \"$path\" < '{key}z')"
        " OR \"$path\" > '{folder}/dt=2026-03-02'",
    ],
)
def test_what_a_filter_leaves_out_is_not_read(corner: Any, condition: str) -> None:
    """Silver counts on it. What must not be read here cannot be read."""
    changes = f"hive.{corner.schema}.{make(corner)}_changes"
    corner.ensure_tables()
    key = land_changes(corner, 5, datetime(2026, 3, 1, 9, tzinfo=UTC))
    folder = key.split("/dt=")[0]
    for broken in ("2026-02-28/hour=09", "2026-03-01/hour=08"):
        corner.bronze.put_first(f"{folder}/dt={broken}/x.parquet", b"no Parquet", "")
    uri = corner.bronze.uri
    # Of each day and hour that the filter leaves, the folder is listed: few are enough.
    days = (
        f"SELECT \"offset\" FROM {changes} WHERE dt BETWEEN DATE '2026-02-28' AND DATE '2026-03-02'"
    )
    where = condition.format(folder=uri(folder), key=uri(key))
    assert corner.trino.query(f"{days} AND ({where})") == [(5,)]
    with pytest.raises(IngestionError, match=r"x\.parquet"):
        corner.trino.query(days)

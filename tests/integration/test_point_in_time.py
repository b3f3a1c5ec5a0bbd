"""Feast's point-in-time join equals plain SQL: on histories corrected afterwards, in any
time zone of the client, and for every form of the entities."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import boto3
import pandas as pd
import pytest
import trino
from feast import FeatureStore, FeatureView, Field
from feast.infra.offline_stores.contrib.trino_offline_store.trino import TrinoRetrievalJob
from feast.infra.offline_stores.contrib.trino_offline_store.trino_source import TrinoSource
from feast.types import Int64
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feast_repo.entity_frame import EntityFrame
from infra.paths import REPO
from tests.integration.served_lake import make_gold, served
from tests.integration.small_lake import SmallLake, small_lake

TTL = timedelta(seconds=7)
# Seconds: so few that values meet at one moment, and at the ends of the TTL.
MOMENT = st.integers(1, 30)
APPLICATION = st.integers(1, 4)
# When a value became true, how much later that was known, and the value; null is "gone".
VERSION = st.tuples(APPLICATION, MOMENT, st.integers(0, 12), st.none() | st.integers(0, 999))
HISTORY = st.lists(VERSION, max_size=40, unique_by=lambda version: version[:3])
ENTITIES = st.lists(st.tuples(APPLICATION, MOMENT), min_size=1, max_size=60, unique=True)

HISTORY_TABLE = """
create or replace table {gold}.pit_history as
select
    application_id,
    from_unixtime(happened, 'UTC') as event_timestamp,
    from_unixtime(happened + delay, 'UTC') as created_timestamp,
    cast(score as bigint) as score
from (values (bigint '0', 0, 0, 0) {rows}) as version (application_id, happened, delay, score)
"""
ENTITY_TABLE = """
create or replace table {gold}.pit_entities as
select cast(application_id as bigint) as application_id, from_unixtime(at, 'UTC') as event_timestamp
from (values {rows}) as entity (application_id, at)
"""
ORACLE = """
select
    entity.application_id,
    to_unixtime(entity.event_timestamp),
    max_by(history.score, row(history.event_timestamp, history.created_timestamp))
from {gold}.pit_entities as entity
left join {gold}.pit_history as history
    on
        entity.application_id = history.application_id
        and history.event_timestamp <= entity.event_timestamp
        and history.event_timestamp >= entity.event_timestamp - interval '{ttl}' second
        {known}
group by 1, 2
"""
KNOWN = "and history.created_timestamp <= entity.event_timestamp"

# 500 from the evening before, 601 at noon, 801 a minute later: a client that takes its own zone
# for UTC sees 500 in Tokyo and 801 in New York. Application 2 changed within the last
# millisecond of all.
ZONED_TABLE = """
create or replace table {gold}.zoned_history as
select *, event_timestamp as created_timestamp
from (
    values
    (bigint '1', bigint '500', timestamp '2026-07-01 00:00:00.000000 UTC'),
    (1, 601, timestamp '2026-07-01 12:00:00.000000 UTC'),
    (1, 801, timestamp '2026-07-01 12:01:00.000000 UTC'),
    (2, 702, timestamp '2026-07-02 12:00:00.123456 UTC')
) as version (application_id, score, event_timestamp)
"""
ZONED_SQL = """
select
    entity.application_id,
    cast(to_unixtime(entity.event_timestamp) * 1000000 as bigint),
    (
        select max_by(version.score, version.event_timestamp)
        from {gold}.zoned_history as version
        where version.application_id = entity.application_id
            and version.event_timestamp <= entity.event_timestamp
    )
from (
    values
    (1, timestamp '2026-07-01 12:00:20.000000 UTC'),
    (2, timestamp '2026-07-02 12:00:00.123455 UTC'),
    (2, timestamp '2026-07-02 12:00:00.123456 UTC')
) as entity (application_id, event_timestamp)
"""
# Asks for the same in every way, and prints what comes back.
ENTITY_QUERY = """
import json
import pandas as pd
from feast_repo.store import open_store

store = open_store()
times = pd.to_datetime(
    ["2026-07-01 12:00:20", "2026-07-02 12:00:00.123455", "2026-07-02 12:00:00.123456"],
    format="ISO8601",
)
def frame(times):
    return pd.DataFrame({"application_id": [1, 2, 2], "event_timestamp": times})
def sql(kind, zone):
    rows = ", ".join(
        f"(bigint '{key}', {kind} '{time:%Y-%m-%d %H:%M:%S.%f}{zone}')"
        for key, time in zip([1, 2, 2], times)
    )
    return f"select * from (values {rows}) as entity (application_id, event_timestamp)"
ways = {
    "naive frame": frame(times),
    "frame in UTC": frame(times.tz_localize("UTC")),
    "frame in New York": frame(times.tz_localize("UTC").tz_convert("America/New_York")),
    "frame of texts": frame([f"{time.isoformat()}Z" for time in times]),
    "naive SQL": sql("timestamp", ""),
    "SQL in UTC": sql("timestamp", " UTC"),
    "SQL that casts": "select application_id, cast(event_timestamp as timestamp(6) with time zone)"
    f" as event_timestamp from ({sql('timestamp', '')})",
    "SQL in Tokyo": "select application_id, event_timestamp at time zone 'Asia/Tokyo'"
    f" as event_timestamp from ({sql('timestamp', ' UTC')})",
}
found = {}
for way, entities in ways.items():
    rows = store.get_historical_features(entity_df=entities, features=["zoned:score"]).to_df()
    assert str(rows.event_timestamp.dtype) == "datetime64[us, UTC]", rows.dtypes
    found[way] = sorted(
        [int(key), int(time.value // 1000), None if pd.isna(score) else int(score)]
        for key, time, score in zip(rows.application_id, rows.event_timestamp, rows.score)
    )
print(json.dumps(found))
"""
NOON = pd.Timestamp("2026-07-01 12:00:30", tz="UTC")


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    with small_lake() as lake:
        make_gold(lake, hundreds=1, number=1)
        yield lake


@pytest.fixture(scope="module")
def store(lake: SmallLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    with served(lake, tmp_path_factory.mktemp("feast")) as repo:
        store = FeatureStore(repo_path=str(repo))
        lake.query(HISTORY_TABLE.format(gold=lake.gold, rows=""))
        source = TrinoSource(
            name="pit_history",
            table=f"{lake.gold}.pit_history",
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        )
        lake.query(ZONED_TABLE.format(gold=lake.gold))
        views = [
            FeatureView(
                name=name,
                entities=[store.get_entity("application")],
                ttl=ttl,
                source=source,
                schema=[Field(name="score", dtype=Int64)],
            )
            for name, ttl in (("brief", TTL), ("lasting", timedelta(days=3650)))
        ]
        zoned = TrinoSource(
            name="zoned_history",
            table=f"{lake.gold}.zoned_history",
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        )
        views.append(
            FeatureView(
                name="zoned",
                entities=[store.get_entity("application")],
                ttl=timedelta(days=3650),
                source=zoned,
                schema=[Field(name="score", dtype=Int64)],
            )
        )
        store.apply([*views])
        yield store


def joined(store: FeatureStore, lake: SmallLake, known: bool) -> dict[str, list[tuple[int, ...]]]:
    rows = store.get_historical_features(
        # By SQL: a million of them would be as short a text.
        entity_df=f"select * from {lake.gold}.pit_entities",
        features=["brief:score", "lasting:score"],
        full_feature_names=True,
        filter_by_created_timestamp=known,
    ).to_df()
    seconds = [round(time.timestamp()) for time in rows.event_timestamp]
    return {
        view: sorted(
            zip(rows.application_id, seconds, rows[f"{view}__score"].fillna(-1), strict=True)
        )
        for view in ("brief", "lasting")
    }


def oracle(lake: SmallLake, known: bool) -> dict[str, list[tuple[int, ...]]]:
    return {
        view: sorted(
            (application, round(at), -1 if score is None else score)
            for application, at, score in lake.query(
                ORACLE.format(gold=lake.gold, ttl=ttl, known=KNOWN if known else "")
            )
        )
        for view, ttl in (("brief", TTL.seconds), ("lasting", 3650 * 86_400))
    }


# Corrected four seconds later; gone; known only after twelve; older than the TTL, 7 seconds.
CORRECTED = [(1, 5, 0, 100), (1, 5, 4, 200), (1, 12, 0, None), (2, 8, 12, 300), (3, 20, 0, 400)]
CORRECTED_ENTITIES = [
    (1, 5),
    (1, 8),
    (1, 9),
    (1, 12),
    (1, 13),
    (2, 15),
    (2, 20),
    (3, 27),
    (3, 28),
    (4, 1),
]


def test_the_join_of_a_corrected_history_is_the_oracles(
    lake: SmallLake, store: FeatureStore
) -> None:
    check(lake, store, CORRECTED, CORRECTED_ENTITIES)


@pytest.mark.slow
@settings(
    max_examples=8,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORY, entities=ENTITIES)
def test_the_join_is_the_oracles(
    lake: SmallLake,
    store: FeatureStore,
    history: list[tuple[int, int, int, int | None]],
    entities: list[tuple[int, int]],
) -> None:
    check(lake, store, history, entities)


def check(
    lake: SmallLake,
    store: FeatureStore,
    history: list[tuple[int, int, int, int | None]],
    entities: list[tuple[int, int]],
) -> None:
    """Nothing of the future, nothing older than the TTL, and, if asked, nothing not yet known."""
    versions = "".join(
        f", ({key}, {at}, {delay}, {'null' if score is None else score})"
        for key, at, delay, score in history
    )
    lake.query(HISTORY_TABLE.format(gold=lake.gold, rows=versions))
    asked = ", ".join(f"({key}, {at})" for key, at in entities)
    lake.query(ENTITY_TABLE.format(gold=lake.gold, rows=asked))
    for known in (True, False):
        assert joined(store, lake, known) == oracle(lake, known)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_time_means_the_same_in_every_zone(
    lake: SmallLake, store: FeatureStore, zone: str
) -> None:
    expected = sorted(lake.query(ZONED_SQL.format(gold=lake.gold)), key=lambda row: row[:2])
    assert [row[2] for row in expected] == [601, None, 702]
    asked = subprocess.run(
        [sys.executable, "-c", ENTITY_QUERY],
        env={**os.environ, "TZ": zone, "PYTHONPATH": str(REPO)},
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout.splitlines()[-1])
    assert found == dict.fromkeys(found, expected)
    assert len(found) == 8


def scores(store: FeatureStore, entities: pd.DataFrame | str, **named: Any) -> pd.DataFrame:
    return store.get_historical_features(
        entity_df=entities, features=["zoned:score"], **named
    ).to_df()


def left_behind(lake: SmallLake) -> list[str]:
    """Tables of entities, and objects of them."""
    tables = lake.query(
        "select table_name from hive.information_schema.tables"
        " where table_schema = 'feast' and table_name not like 'historical\\_%' escape '\\'"
    )
    s3 = boto3.client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT"],
        region_name=os.environ["S3_REGION"],
        aws_access_key_id=os.environ["MINIO_ROOT_USER"],
        aws_secret_access_key=os.environ["MINIO_ROOT_PASSWORD"],
    )
    objects = s3.list_objects_v2(Bucket=os.environ["GOLD_BUCKET"], Prefix="_feast_entities/")
    return [row[0] for row in tables] + [found["Key"] for found in objects.get("Contents", [])]


def test_a_frame_of_the_whole_file_is_joined_in_its_order(
    lake: SmallLake, store: FeatureStore
) -> None:
    entities = pd.DataFrame({"application_id": range(45_000, 0, -1), "event_timestamp": NOON})
    rows = scores(store, entities)
    assert rows.application_id.tolist() == entities.application_id.tolist()
    assert rows.score.dropna().to_dict() == {44_999: 601}
    assert left_behind(lake) == []


def test_a_frames_own_columns_come_back_as_they_were(lake: SmallLake, store: FeatureStore) -> None:
    given = pd.DataFrame(
        {
            "application_id": [3, 1, 2, 1],
            "event_timestamp": [NOON, NOON, NOON, None],
            "amount": [1.5, float("inf"), None, -float("inf")],
            "note": ["O'Brien; --", '"', "", None],
            "nothing": [None] * 4,
            "kind": pd.Categorical(["a", "b", "a", "b"]),
            "truth": [True, False, True, False],
            "day": [date(2026, 1, 1), None, date(1, 1, 1), date(9999, 12, 31)],
            "price": [Decimal("0.10"), Decimal("-12345678901234567890.12"), None, Decimal("1.00")],
            "raw": [b"\x00\xff", b"", None, b"x"],
            "tags": [["a", "b"], [], None, ["c"]],
            "Mixed Case, comma": [1, 2, 3, 4],
        },
        index=[10, 7, 3, 99],
    )
    rows = scores(store, given.drop(index=7))
    assert list(rows.columns) == [*given.columns, "score"]
    assert rows.index.tolist() == [0, 1, 2]
    assert rows.score.isna().all()
    assert scores(store, given).score.fillna(0).tolist() == [0, 601, 0, 0]
    for name in given.columns:
        expected = ["" if item is None else str(item) for item in given.drop(index=7)[name]]
        read = [list(item) if name == "tags" and item is not None else item for item in rows[name]]
        assert ["" if item is None else str(item) for item in read] == expected, name
    assert left_behind(lake) == []


def test_entities_may_be_none(store: FeatureStore) -> None:
    times = pd.Series([], dtype="datetime64[ns]")
    rows = scores(store, pd.DataFrame({"application_id": [], "event_timestamp": times}))
    assert (len(rows), list(rows.columns)) == (0, ["application_id", "event_timestamp", "score"])


def test_a_query_with_varying_results_is_run_once(lake: SmallLake, store: FeatureStore) -> None:
    everybody = (
        "select bigint '1' + random(2) as application_id, timestamp '2026-07-03 00:00:00' as"
        " event_timestamp from unnest(sequence(1, 200)) as row (number)"
    )
    rows = scores(store, everybody)
    assert rows.application_id.map({1: 801, 2: 702}).tolist() == rows.score.tolist()


def test_a_name_that_is_there_twice_is_refused(store: FeatureStore) -> None:
    given = pd.DataFrame({"application_id": [1], "event_timestamp": [NOON], "score": [5]})
    with pytest.raises(ValueError, match="'score' has the name of a feature"):
        scores(store, given)
    assert scores(store, given, full_feature_names=True)["zoned__score"].tolist() == [601]


def test_a_failed_query_leaves_no_table_or_object(lake: SmallLake, store: FeatureStore) -> None:
    given = pd.DataFrame({"application_id": [1], "event_timestamp": [NOON]})
    job = store.get_historical_features(entity_df=given, features=["zoned:score"])
    assert left_behind(lake) == []  # not run, nothing there
    lake.query(f"alter table {lake.gold}.zoned_history rename to {lake.gold}.away")
    try:
        with pytest.raises(trino.exceptions.TrinoUserError, match="zoned_history"):
            job.to_df()
    finally:
        lake.query(f"alter table {lake.gold}.away rename to {lake.gold}.zoned_history")
    assert left_behind(lake) == []
    # The upload succeeds, and then Trino refuses: only Feast may create tables there.
    storage = store.config.offline_store.entities
    frame = EntityFrame(given, "event_timestamp", set())

    def refuse(statement: str) -> list[list[Any]]:
        if statement.startswith("create"):
            raise trino.exceptions.TrinoUserError({"message": "no"})
        return []

    with pytest.raises(trino.exceptions.TrinoUserError), frame.shown(storage, refuse):
        pass
    assert left_behind(lake) == []
    assert job.to_df().score.tolist() == [601]
    assert left_behind(lake) == []


def test_what_a_killed_process_left_is_removed_a_day_later(
    lake: SmallLake, store: FeatureStore
) -> None:
    storage = store.config.offline_store.entities
    given = pd.DataFrame({"application_id": [1], "event_timestamp": [NOON]})
    frame = EntityFrame(given, "event_timestamp", set())
    two_days_ago = datetime.now(UTC) - timedelta(days=2)
    frame.name = f"entities_{two_days_ago.timestamp():.0f}_killed"
    with frame.shown(storage, lake.query):
        assert scores(store, given).score.tolist() == [601]
        assert [name for name in left_behind(lake) if "/" not in name] == []


def test_a_result_can_be_written_into_a_table(lake: SmallLake, store: FeatureStore) -> None:
    given = pd.DataFrame({"application_id": [1, 2], "event_timestamp": NOON, "note": ["a", None]})
    job = store.get_historical_features(entity_df=given, features=["zoned:score"])
    assert isinstance(job, TrinoRetrievalJob)
    table = job.to_trino()
    try:
        rows = lake.query(f"select application_id, note, score from {table} order by 1")
        assert rows == [[1, "a", 601], [2, None, None]]
    finally:
        lake.query(f"drop table {table}")
    assert left_behind(lake) == []
    by_sql = store.get_historical_features(
        entity_df=f"select * from {lake.gold}.zoned_history".replace(
            "*", "application_id, event_timestamp"
        ),
        features=["zoned:score"],
    )
    assert by_sql.metadata
    assert by_sql.metadata.min_event_timestamp == datetime(2026, 7, 1, tzinfo=UTC)

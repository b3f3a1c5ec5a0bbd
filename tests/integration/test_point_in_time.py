"""Feast's point-in-time join equals an oracle in plain SQL, on histories corrected afterwards."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from feast import FeatureStore, FeatureView, Field
from feast.infra.offline_stores.contrib.trino_offline_store.trino_source import TrinoSource
from feast.types import Int64
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served_lake import make_gold, served
from small_lake import SmallLake, small_lake

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
# Application 9 has no history. Its time is the latest, for of that Feast sees only what was
# before its last millisecond.
ENTITY_TABLE = """
create or replace table {gold}.pit_entities as
select application_id, from_unixtime(at, 'UTC') as event_timestamp
from (values (bigint '9', 100) {rows}) as entity (application_id, at)
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
        store.apply(views)
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
    """Nothing of the future, nothing older than the TTL, and, if asked, nothing not yet known."""
    versions = "".join(
        f", ({key}, {at}, {delay}, {'null' if score is None else score})"
        for key, at, delay, score in history
    )
    lake.query(HISTORY_TABLE.format(gold=lake.gold, rows=versions))
    asked = "".join(f", ({key}, {at})" for key, at in entities)
    lake.query(ENTITY_TABLE.format(gold=lake.gold, rows=asked))
    for known in (True, False):
        assert joined(store, lake, known) == oracle(lake, known)

"""Flink's job: what it streams, and that nothing which ends it makes that wrong."""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from feast import FeatureStore
from psycopg.rows import dict_row

from ingestion.settings import get_settings
from ingestion.stream.client import open_admin
from streaming.job import ensure_tables, read_job
from streaming.lag import read_lag
from streaming.run import find_topic
from streaming.settings import job_settings
from tests.integration.changes import eventually
from tests.integration.conftest import open_corner
from tests.integration.flink_cluster import FlinkCluster, flink_cluster
from tests.integration.flink_topic import BEGAN, Topic, minutes_ago, recent, row
from tests.integration.served_lake import make_gold, materialize_views, served
from tests.integration.small_lake import SmallLake, small_lake

SCORE = "credit_history:credit_score"
# What gold says of its applications, 1 to 100.
IN_GOLD = 400


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    with small_lake() as lake:
        make_gold(lake, 1, IN_GOLD)
        # Of three hours ago, which is before the topic's first change, and of half an hour ago.
        for purpose in ("MEDICAL", "VENTURE", "EDUCATION"):
            for minutes in (180, 30):
                lake.query(
                    f"insert into {lake.gold}.segment_activity_by_minute values"
                    f" ('loan_purpose={purpose}', date_trunc('minute', from_iso8601_timestamp("
                    f"'{minutes_ago(minutes).isoformat()}')), 70, 7, decimal '7000.00')"
                )
        yield lake


@pytest.fixture(scope="module")
def topic(stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topic]:
    with open_corner(get_settings(), tmp_path_factory.mktemp("corner")) as corner:
        topic = Topic(corner)
        yield topic
        topic.delete()


@pytest.fixture(scope="module")
def repo(lake: SmallLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with served(lake, tmp_path_factory.mktemp("feast")) as repo:
        materialize_views(FeatureStore(repo_path=str(repo)))
        yield repo


@pytest.fixture(scope="module")
def flink(
    repo: Path, topic: Topic, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FlinkCluster]:
    with flink_cluster(tmp_path_factory.mktemp("flink"), topic.environment) as cluster:
        yield cluster


@pytest.fixture
def store(repo: Path) -> FeatureStore:
    """As a server that starts now."""
    return FeatureStore(repo_path=str(repo))


def served_scores(store: FeatureStore, *keys: int) -> list[int | None]:
    response = store.get_online_features(
        features=[SCORE], entity_rows=[{"application_id": key} for key in keys]
    )
    scores: list[int | None] = response.to_dict()["credit_score"]
    return scores


def activity(store: FeatureStore, purpose: str, feature: str = "applications") -> tuple[Any, ...]:
    """A feature over each window."""
    response = store.get_online_features(
        features=[f"loan_segment_activity:{feature}_{window}" for window in ("10m", "1h", "24h")],
        entity_rows=[{"segment": f"loan_purpose={purpose}"}],
    ).to_dict()
    return tuple(response[f"{feature}_{window}"][0] for window in ("10m", "1h", "24h"))


def wait_for_activity(store: FeatureStore, purpose: str, expected: tuple[int, ...]) -> None:
    """Until the store serves these numbers of applications."""
    eventually(
        lambda: activity(store, purpose) == expected, f"{purpose} has {expected} applications"
    )


def streamed(store: FeatureStore) -> dict[int, dict[str, Any]]:
    """Flink's rows by application."""
    with connect("FLINK_DB") as connection:
        cursor = connection.cursor(row_factory=dict_row)
        rows = cursor.execute(f"select * from streaming.{store.project}_application")
        return {found["application_id"]: found for found in rows}


def connect(user: str, database: str | None = None) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(
        host=os.environ["POSTGRES_HOST"],
        port=os.environ["POSTGRES_PORT"],
        dbname=database or os.environ["FEAST_DB"],
        user=os.environ[f"{user}_USER"],
        password=os.environ[f"{user}_PASSWORD"],
    )


def wait_for(store: FeatureStore, key: int, score: int | None) -> None:
    """Until the store serves it; each of our changes has a score of its own."""
    eventually(lambda: served_scores(store, key) == [score], f"{key} has the score {score}")


def fold(lake: SmallLake, topic: Topic, offset: int) -> None:
    """As dbt does: gold has everything before the offset, of either partition."""
    topic_id = find_topic(topic.settings, topic.name)
    lake.query(f"delete from {lake.gold}.folded_offsets")
    lake.query(
        f"insert into {lake.gold}.folded_offsets"
        f" values ('{topic_id}+0', {offset}), ('{topic_id}+1', {offset})"
    )


def test_a_change_is_served_before_dbt_runs(
    flink: FlinkCluster, topic: Topic, store: FeatureStore
) -> None:
    assert served_scores(store, 1, 2, 3, 101) == [IN_GOLD, IN_GOLD, IN_GOLD, None]
    topic.score(1, 501)
    topic.send(101, "c", row(601))
    topic.send(2, "d")
    topic.send(3, "u", row(502, person_age=144))  # which a rule rejects
    wait_for(store, 1, 501)
    wait_for(store, 101, 601)
    wait_for(store, 2, None)
    wait_for(store, 3, None)
    features = streamed(store)[101]
    assert features["credit_score_band"] == "fair"
    assert features["loan_to_income_percent"] == 49.0
    assert features["has_previous_default"] is False
    assert features["event_timestamp"] == BEGAN + timedelta(microseconds=1_002)


UNREADABLE = {
    "not a number": row(person_income="NaN"),
    "too large": row(loan_amnt="123456789012.00"),
    "infinite time": row(updated_at="infinity"),
    "before year 1": row(created_at="-0043-03-15T00:00:00Z"),
    "year 0": row(created_at="0000-01-01T00:00:00Z"),
    "after year 9999": row(created_at="+15000-01-01T00:00:00Z"),
    "not sent, for it is long": row(loan_intent="__debezium_unavailable_value"),
    "not an integer": row("many"),  # type: ignore[arg-type]
    "a column less": {key: value for key, value in row().items() if key != "loan_status"},
}


@pytest.mark.parametrize("after", UNREADABLE.values(), ids=UNREADABLE)
def test_what_silver_cannot_read_leaves_the_version_before(
    flink: FlinkCluster, topic: Topic, store: FeatureStore, after: dict[str, Any]
) -> None:
    key = 10 + list(UNREADABLE.values()).index(after)
    topic.score(key, 510)
    topic.send(key, "u", after)
    topic.score(key + 20, 511)  # in the same partition, after it
    wait_for(store, key + 20, 511)
    assert served_scores(store, key) == [510]
    topic.score(key, 512)
    wait_for(store, key, 512)


def test_a_missing_value_is_rejected_as_by_silver(
    flink: FlinkCluster, topic: Topic, store: FeatureStore
) -> None:
    topic.send(40, "u", row(None))
    wait_for(store, 40, None)


def test_records_that_are_no_changes_are_passed_over(
    flink: FlinkCluster, topic: Topic, store: FeatureStore
) -> None:
    topic.score(41, 541)
    topic.send_raw(41, b"not JSON")
    topic.send_raw(41, b'{"op": "u", "after": {}, "source": {}}')
    topic.send_raw(41, b'{"op": "u", "after": {}, "source": {"lsn": 9, "ts_us": 9}}')
    topic.send_raw(41, b'{"op": "u", "after": [], "source": {"lsn": 9, "ts_us": 9}}')
    topic.send_raw(None, json.dumps({"op": "u", "source": {"lsn": 9, "ts_us": 9}}).encode())
    job = f"{store.project}_application"
    eventually(lambda: read_lag(job_settings(), topic.name, job) == 0, "a checkpoint has them")
    assert served_scores(store, 41) == [541]
    with connect("FLINK_DB") as connection:
        table = f"streaming.{store.project}_segment_activity_began"
        [[began]] = connection.execute(f"select began_at from {table} where is_current")
    assert began >= BEGAN
    assert flink.processes["taskmanager"].poll() is None


def test_materialising_and_streaming_are_right_in_any_order(
    flink: FlinkCluster, topic: Topic, store: FeatureStore, lake: SmallLake
) -> None:
    topic.score(51, 551)
    wait_for(store, 51, 551)
    # Gold does not have it yet: its older rows do not replace what was streamed.
    materialize_views(store, everything=True)
    assert served_scores(store, 51, 52) == [551, IN_GOLD]
    # Now gold has all of it, and says something else (a batch came): gold counts.
    fold(lake, topic, 1_000_000)
    materialize_views(store, everything=True)
    assert served_scores(store, 51, 52) == [IN_GOLD, IN_GOLD]
    assert 51 not in streamed(store)
    # A replay sends it again, and does not make it newer than gold.
    topic.score(51, 552)
    eventually(lambda: 51 in streamed(store), "51 was streamed")
    assert served_scores(store, 51) == [IN_GOLD]
    fold(lake, topic, 0)
    with connect("POSTGRES_ADMIN", os.environ["FEAST_DB"]) as connection:
        connection.execute(f"delete from {store.project}_folded_offsets")
    materialize_views(store)
    assert served_scores(store, 51) == [552]


def test_a_truncate_hides_all_that_was_before(
    flink: FlinkCluster, topic: Topic, store: FeatureStore
) -> None:
    topic.score(61, 561)
    wait_for(store, 61, 561)
    topic.send(None, "t")
    wait_for(store, 61, None)
    assert served_scores(store, 62) == [None]
    topic.send(61, "c", row(562))
    wait_for(store, 61, 562)
    forget_truncates(store)
    assert served_scores(store, 62) == [IN_GOLD]


def forget_truncates(store: FeatureStore) -> None:
    """For the tests that follow."""
    with connect("POSTGRES_ADMIN", os.environ["FEAST_DB"]) as connection:
        connection.execute(f"delete from streaming.{store.project}_application_truncated")


def test_segments_are_counted_as_their_applications_are_now(
    flink: FlinkCluster, topic: Topic, store: FeatureStore
) -> None:
    """From the stream's first minute on they are Flink's, of before they are gold's."""
    wait_for_activity(store, "VENTURE", (0, 0, 70))
    topic.send(301, "c", recent("VENTURE", 5, loan_amnt="1000.10", loan_status=0))
    topic.send(302, "c", recent("VENTURE", 30, loan_amnt="500.00"))
    topic.send(303, "c", recent("VENTURE", 3 * 24 * 60))
    topic.send(304, "c", recent("VENTURE", 5, person_age=144))  # which a rule rejects
    topic.send(305, "c", recent("VENTURE", 5))
    topic.send(305, "d")
    topic.send(306, "c", recent("VENTURE", -10))  # which has yet to come
    wait_for_activity(store, "VENTURE", (1, 2, 72))
    assert activity(store, "VENTURE", "total_amount") == (1000.1, 1500.1, 8500.1)
    assert activity(store, "VENTURE", "average_amount") == (1000.1, 750.05, 8500.1 / 72)
    assert activity(store, "VENTURE", "approval_rate_percent") == (0.0, 50.0, 100 * 8 / 72)
    # Silver cannot read this version: the one before stays valid.
    topic.send(302, "u", recent("MEDICAL", 5, loan_amnt="NaN"))
    topic.send(301, "u", recent("MEDICAL", 5, loan_amnt="1200.00"))
    wait_for_activity(store, "VENTURE", (0, 1, 71))
    wait_for_activity(store, "MEDICAL", (1, 1, 71))
    assert activity(store, "VENTURE", "average_amount")[0] is None
    topic.send(None, "t")
    wait_for_activity(store, "VENTURE", (0, 0, 70))
    wait_for_activity(store, "MEDICAL", (0, 0, 70))
    topic.send(302, "c", recent("VENTURE", 5))
    wait_for_activity(store, "VENTURE", (1, 1, 71))
    topic.send(302, "d")
    wait_for_activity(store, "VENTURE", (0, 0, 70))
    assert activity(store, "UNKNOWN") == (None, None, None)
    forget_truncates(store)


def test_old_minutes_are_deleted(flink: FlinkCluster, topic: Topic, store: FeatureStore) -> None:
    topic.send(311, "c", recent("VENTURE", 26 * 60))
    topic.send(312, "c", recent("VENTURE", 5))
    wait_for_activity(store, "VENTURE", (1, 1, 71))
    streamed_minutes = f"select count(*) from streaming.{store.project}_segment_activity"
    with connect("FLINK_DB") as connection:
        before = connection.execute(streamed_minutes).fetchone()
        materialize_views(store)
        after = connection.execute(streamed_minutes).fetchone()
    assert (before, after) == ((4,), (2,))
    topic.send(312, "d")
    wait_for_activity(store, "VENTURE", (0, 0, 70))


def test_a_change_of_the_job_that_is_taken_back_finds_its_minutes(
    flink: FlinkCluster, store: FeatureStore
) -> None:
    """Its state in a checkpoint says what it has counted, and these minutes belong to it."""
    table = f"streaming.{store.project}_segment_activity"
    with connect("FLINK_DB") as connection:
        connection.autocommit = True

        def current() -> str:
            [[run]] = connection.execute(f"select run from {table}_began where is_current")
            return str(run)

        before = current()
        jobs = [read_job(job_settings(), topic_id) for topic_id in ("one", "other", "one")]
        runs = []
        for job in jobs:
            ensure_tables(job)
            runs.append(current())
            if len(runs) == 1:
                row = (job.run, "loan_purpose=VENTURE", minutes_ago(5), 1, 0, 1)
                connection.execute(f"insert into {table} values (%s, %s, %s, %s, %s, %s)", row)
        try:
            assert runs == [job.run for job in jobs]
            kept = connection.execute(f"select from {table} where run = %s", (runs[2],))
            assert kept.rowcount == 1
        finally:
            connection.execute(f"delete from {table} where run = %s", (runs[0],))
            connection.execute(f"update {table}_began set is_current = (run = %s)", (before,))
    materialize_views(store)
    with connect("FLINK_DB") as connection:
        assert list(connection.execute(f"select run from {table}_began")) == [(before,)]


def test_an_older_row_never_replaces_a_newer_one(
    flink: FlinkCluster, topic: Topic, store: FeatureStore
) -> None:
    """As a replay sends it, also of another partition, after a change of their number."""
    topic.score(81, 581)
    wait_for(store, 81, 581)
    newest = streamed(store)[81]
    update = (
        f"update streaming.{store.project}_application set credit_score = 999,"
        " input_id = %s, record_offset = %s, lsn = %s where application_id = 81"
    )
    input_id, offset, lsn = newest["input_id"], newest["record_offset"], newest["lsn"]
    with connect("FLINK_DB") as connection:
        for older in ((input_id, offset, lsn), (input_id, offset - 1, lsn), ("other+0", 9, lsn)):
            assert connection.execute(update, older).rowcount == 0
        for newer in ((input_id, offset + 1, lsn), ("other+0", 0, lsn + 1)):
            assert connection.execute(update, newer).rowcount == 1
        connection.rollback()


@pytest.mark.parametrize("role", ["taskmanager", "jobmanager"])
def test_a_killed_process_goes_on_where_it_was(
    flink: FlinkCluster, topic: Topic, store: FeatureStore, role: str
) -> None:
    keys = range(1001, 1101)
    for key in keys:
        topic.send(key, "c", recent("EDUCATION", 5))
    wait_for(store, keys[0], 600)
    wait_for_activity(store, "EDUCATION", (100, 100, 170))
    flink.kill(role)
    for key in keys:
        if key % 3:
            topic.send(key, "u", recent("EDUCATION", 30, credit_score=700))
        else:
            topic.send(key, "d")
    flink.start(role)
    flink.wait()
    topic.send(2001, "c", row(800))
    topic.send(2002, "c", row(800))
    wait_for(store, 2001, 800)
    wait_for(store, 2002, 800)
    assert served_scores(store, *keys) == [700 if key % 3 else None for key in keys]
    wait_for_activity(store, "EDUCATION", (0, 67, 137))
    for key in keys:
        topic.send(key, "d")
    wait_for(store, keys[-1], None)
    wait_for_activity(store, "EDUCATION", (0, 0, 70))


def test_a_topic_that_was_made_again_is_read_from_its_beginning(
    flink: FlinkCluster, topic: Topic, store: FeatureStore
) -> None:
    topic.score(71, 571)
    topic.send(72, "c", recent("EDUCATION", 5))
    wait_for(store, 71, 571)
    wait_for_activity(store, "EDUCATION", (1, 1, 71))
    topic.delete()
    eventually(lambda: is_gone(topic), "the topic is gone")
    topic.make()
    for score in (572, 573):
        topic.score(71, score)
    topic.send(73, "c", recent("EDUCATION", 30))
    # It ends, for supervisor to start it again; here the test does.
    job_manager = flink.processes["jobmanager"]
    eventually(lambda: job_manager.poll() is not None, "the job manager has ended")
    assert "was made again" in flink.log("jobmanager")
    flink.start("jobmanager")
    flink.wait()
    wait_for(store, 71, 573)
    wait_for_activity(store, "EDUCATION", (0, 1, 71))


def is_gone(topic: Topic) -> bool:
    with open_admin(topic.settings) as admin:
        return topic.name not in admin.list_topics()


def test_no_log_has_a_password(flink: FlinkCluster) -> None:
    secrets = [os.environ["FLINK_DB_PASSWORD"], os.environ["FLINK_S3_SECRET_KEY"]]
    assert "INSERT INTO online" in flink.log("jobmanager")
    for role in ("jobmanager", "taskmanager"):
        assert not any(secret in flink.log(role) for secret in secrets)


def test_flinks_user_sees_only_its_own_tables(store: FeatureStore) -> None:
    settings = job_settings()
    with (
        connect("FLINK_DB", settings.feast_db) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(f"select from {store.project}_loan")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect("FLINK_DB", settings.source_db)

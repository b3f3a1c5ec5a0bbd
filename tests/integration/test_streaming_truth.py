"""What Flink streams is what dbt makes of the same changes, value by value."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

from feast_repo.activity import ActivityTables
from infra.env import load_env
from infra.native.stack import Supervisor
from ingestion.postgres import connect_owner
from ingestion.settings import Settings
from streaming.savepoints import restart, write_savepoint
from streaming.settings import job_settings
from streaming.status import read_status
from tests.integration.changes import eventually
from tests.integration.shown_lake import Landed, ShownLake, shown_lake
from tests.integration.workload import INSERT, writers
from tests.stack import ingest, native

pytestmark = pytest.mark.slow

SECONDS = 20
SECONDS_STOPPED = 10
PARTS = ("flink-jobmanager", "flink-taskmanager")
NOT_FEATURES = {"application_id", "event_timestamp", "created_timestamp", "is_current"}
STREAMED_MINUTES = """
select segment, extract(epoch from created_minute), applications, approved, total_amount::text
from streaming.loan_approval_segment_activity
join streaming.loan_approval_segment_activity_began using (run)
where is_current and created_minute >= %s
"""
Minutes = dict[tuple[str, int], list[Any]]  # by segment, and seconds of the minute's beginning
# What a read of the store takes, all of it: see feast_repo/streamed.py.
STREAMED = """
select application_id, event_timestamp, {features}
from streaming.loan_approval_application
where has_features and lsn > coalesce(
    (select max(lsn) from streaming.loan_approval_application_truncated), -1
)
"""


@pytest.fixture
def flink(stack: dict[str, str]) -> Iterator[Supervisor]:
    """The stack's own Flink, over the source's real topic; the source's table is empty."""
    ingest("source", "generate", "--rows", "0")
    ingest("stream", "capture")
    ingest("bronze-tables")
    native("up", "flink")
    yield Supervisor(load_env())


def work(supervisor: Supervisor, dice: random.Random) -> tuple[Landed, str]:
    """Let the writers write while Flink's processes are killed, and while Flink is stopped.

    What landed, and a savepoint of the first seconds.
    """
    landed = Landed()
    write_in_the_minute_before(landed.settings)
    with writers(landed.settings, seed=dice.randrange(1_000)):
        time.sleep(dice.uniform(2, 5))
        savepoint = write_savepoint(job_settings())
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(dice.uniform(2, 5))
            landed.snapshot(dice.choice(("full", "incremental")))
            kill(supervisor, dice.choice(PARTS))
        for part in PARTS:
            supervisor.rpc().supervisor.stopProcess(part)
        time.sleep(SECONDS_STOPPED)
        for part in PARTS:
            supervisor.rpc().supervisor.startProcess(part)
    ingest("stream", "wait")
    landed.find_changes()
    return landed, savepoint


def write_in_the_minute_before(settings: Settings) -> None:
    """The minute of the stream's first change is gold's; those after it are Flink's."""
    with closing(connect_owner(settings, "workload")) as connection, connection.cursor() as cursor:
        cursor.execute(INSERT, {"key": 1, "score": 600})
        connection.commit()
    time.sleep(60 - time.time() % 60)


def kill(supervisor: Supervisor, part: str) -> None:
    """One that starts at the moment has no process."""
    if pid := supervisor.info(part)["pid"]:
        psutil.Process(pid).kill()


def features_of(lake: ShownLake) -> list[str]:
    columns = [row[0] for row in lake.query(f"show columns from {lake.gold}.historical_features")]
    return [name for name in columns if name not in NOT_FEATURES]


def in_gold(lake: ShownLake, features: list[str]) -> dict[int, list[Any]]:
    rows = lake.query(
        "select application_id, to_unixtime(event_timestamp) * 1000000,"
        f" {', '.join(features)} from {lake.gold}.historical_features where is_current"
    )
    return {key: [round(moment), *values] for key, moment, *values in rows}


def minutes_in_gold(lake: ShownLake, since: datetime) -> Minutes:
    rows = lake.query(
        "select segment, to_unixtime(created_minute), applications, approved,"
        f" cast(total_amount as varchar) from {lake.gold}.segment_activity_by_minute"
        f" where created_minute >= from_unixtime({since.timestamp()})"
    )
    return {(segment, round(minute)): figures for segment, minute, *figures in rows}


def streamed_minutes(since: datetime) -> Minutes:
    with connect("FLINK_DB") as connection:
        rows = connection.execute(STREAMED_MINUTES, (since,))
        return {(segment, round(minute)): figures for segment, minute, *figures in rows}


def first_minute() -> datetime:
    """The first that Flink has seen all of."""
    with connect("FLINK_DB") as connection:
        [[began]] = connection.execute(
            "select date_trunc('minute', began_at) + interval '1 minute'"
            " from streaming.loan_approval_segment_activity_began where is_current"
        )
    moment: datetime = began
    return moment


def windows_online(lake: ShownLake) -> dict[str, list[Any]]:
    """All features as of now, as the store has them once gold's minutes are there."""
    tables = ActivityTables("loan_approval")
    minutes = [
        (segment, minute, *figures)
        for segment, minute, *figures in lake.query(
            "select segment, cast(created_minute as varchar), applications, approved,"
            f" cast(total_amount as varchar) from {lake.gold}.segment_activity_by_minute"
        )
    ]
    with connect("FEAST_DB") as connection:
        tables.replace(connection, minutes)
        rows = list(connection.execute(sql.SQL("select * from {}").format(tables.view)))
        connection.rollback()
    return {segment: [now.timestamp(), *features] for segment, now, _, *features in rows}


def windows_in_gold(lake: ShownLake, moment: float) -> dict[str, list[Any]]:
    """All features as of a moment, as Feast joins them: by the newest row that is not later."""
    rows = lake.query(
        f"select * from {lake.gold}.loan_segment_activity where (segment, event_timestamp) in ("
        f"select segment, max(event_timestamp) from {lake.gold}.loan_segment_activity"
        f" where event_timestamp <= from_unixtime({moment}) group by 1)"
    )
    return {segment: features for segment, _, _, *features in rows}


def streamed(features: list[str]) -> dict[int, list[Any]]:
    with connect("FLINK_DB") as connection:
        rows = connection.execute(STREAMED.format(features=", ".join(features)))
        return {key: [round(moment.timestamp() * 1e6), *values] for key, moment, *values in rows}


def connect(user: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(
        host=os.environ["POSTGRES_HOST"],
        port=os.environ["POSTGRES_PORT"],
        dbname=os.environ["FEAST_DB"],
        user=os.environ[f"{user}_USER"],
        password=os.environ[f"{user}_PASSWORD"],
    )


def start_from(savepoint: str | None) -> None:
    """Start the job there, or at its topic's beginning, and let it read all that follows."""
    settings = job_settings()
    restart(settings, savepoint)
    started = datetime.now(UTC)

    def has_read_all() -> bool:
        """Until a checkpoint of this start, Kafka has the offsets of the start before."""
        [job] = read_status(settings)
        return job.checkpoint is not None and job.checkpoint > started and job.reading.lag == 0

    eventually(has_read_all, "the job has read its topic")


def forget_what_was_streamed() -> None:
    with connect("FLINK_DB") as connection:
        connection.execute("delete from streaming.loan_approval_application")
        connection.execute("delete from streaming.loan_approval_segment_activity")


def test_streamed_features_are_golds_whatever_was_killed(flink: Supervisor) -> None:
    dice = random.Random(int(os.environ.get("STREAMING_SEED") or random.randrange(10**6)))
    landed, savepoint = work(flink, dice)
    with shown_lake() as lake:
        lake.show([key for item in (*landed.snapshots, *landed.changes) for key in item])
        lake.show(landed.earlier)
        lake.make_tables(
            "--select", "+historical_features", "+tag:stream", "+loan_segment_activity"
        )
        features = features_of(lake)
        expected = in_gold(lake, features)
        assert len(features) == 14
        assert expected
        eventually(lambda: streamed(features) == expected, "Flink has caught up with gold")
        since = first_minute()
        minutes = minutes_in_gold(lake, since)
        assert len({segment for segment, _ in minutes}) == 4
        eventually(lambda: streamed_minutes(since) == minutes, "so have the segments' minutes")
        check_windows(lake)
        # What it reads again is older than what the tables have.
        start_from(savepoint)
        assert streamed(features) == expected
        assert streamed_minutes(since) == minutes
        # It fills the tables of an online store that was made again.
        forget_what_was_streamed()
        assert streamed(features) != expected
        start_from(None)
        eventually(lambda: streamed(features) == expected, "the features are there again")
        eventually(lambda: streamed_minutes(since) == minutes, "so are the segments' minutes")
        check_windows(lake)


def check_windows(lake: ShownLake) -> None:
    online = windows_online(lake)
    assert len(online) == 4
    for segment, (moment, *values) in online.items():
        assert values == windows_in_gold(lake, moment)[segment]

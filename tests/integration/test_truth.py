"""Silver equals the source, whichever path the data took and in whatever order it landed.

Six sessions write at random while batch snapshots are taken at random moments, and
Debezium and the consumers land the stream. What landed is then shown to three lakes, to
one the snapshots alone, to one the stream alone, to one both, a random part at a time in
random order, with dbt runs in between. In the end each must equal the source.

TRUTH_EXAMPLES=10 tries as many workloads; the seed that hypothesis prints repeats one
as far as concurrency can be repeated.
"""

import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lake import SmallLake
from workload import writers

from ingestion.batch.run import run_batch
from ingestion.errors import LockedError
from ingestion.reconcile.run import reconcile_table
from ingestion.settings import get_settings
from ingestion.storage import Bronze
from ingestion.stream.topics import topic_of
from ingestion.tables import Reconcile, Table, load_tables
from tests.stack import ingest, objects_administrator

EXAMPLES = int(os.environ.get("TRUTH_EXAMPLES") or 1)
SECONDS = 8
TABLE = "loan_applications"


class Lake(SmallLake):
    """A lake whose bronze shows, of what landed, just what it was given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, bronze_catalog="hive")
        self.objects = objects_administrator()
        self.bucket = os.environ["BRONZE_BUCKET"]
        self.place = f"_{self.prefix}bronze"

    def make_bronze(self) -> None:
        """Tables like the real ones, over folders of this lake's own."""
        self.query(f"create schema {self.bronze} with (location = 's3://{self.bucket}/')")
        for table in (TABLE, f"{TABLE}_changes", "batch_snapshots"):
            [[ddl]] = self.query(f"show create table hive.bronze.{table}")
            ddl = ddl.replace("hive.bronze.", f"{self.bronze}.")
            ddl = ddl.replace(f"s3://{self.bucket}/", f"s3://{self.bucket}/{self.place}/")
            folder = re.search(r"external_location = 's3://[^/]+/([^']+)'", ddl)
            assert folder
            self.objects.put_object(Bucket=self.bucket, Key=f"{folder[1]}/", Body=b"")
            self.query(ddl)

    def show(self, keys: list[str]) -> None:
        for key in keys:
            source = {"Bucket": self.bucket, "Key": key}
            self.objects.copy_object(
                Bucket=self.bucket, Key=f"{self.place}/{key}", CopySource=source
            )

    def run(self) -> None:
        without_tests = ("--exclude-resource-type", "test", "unit_test")
        done = self.dbt("build", "--select", "+silver", *without_tests)
        assert done.returncode == 0, done.stdout

    def differences(self, silver: str, *, rejected: bool = True) -> list[Any]:
        names = Reconcile(
            silver=f"{self.silver}.{silver}",
            rejected=f"{self.silver}.rejected_loan_applications" if rejected else None,
        )
        table = Table(
            name=TABLE, source=f"public.{TABLE}", key=("application_id",), reconcile=names
        )
        result = reconcile_table(get_settings(), table)
        return [] if result.equal else [result.source_rows, result.silver_rows, *result.differences]


@contextmanager
def lake() -> Iterator[Lake]:
    with TemporaryDirectory() as folder:
        made = Lake(Path(folder))
        made.make_bronze()
        try:
            yield made
        finally:
            for schema in (made.silver, made.gold):
                made.query(f"drop schema if exists {schema} cascade")
            for (table,) in made.query(f"show tables from {made.bronze}"):
                made.query(f"drop table {made.bronze}.{table}")
            made.query(f"drop schema {made.bronze}")
            for key in list(Bronze(get_settings()).keys(f"{made.place}/")):
                made.objects.delete_object(Bucket=made.bucket, Key=key)


class Landed:
    """What a workload landed: each item is the keys of the objects that belong together."""

    def __init__(self) -> None:
        self.settings = get_settings()
        self.tables = load_tables()
        self.bronze = Bronze(self.settings)
        self.stream_folder = f"cdc/{topic_of(self.settings, self.tables.tables[0])}"
        self.snapshots: list[list[str]] = []
        # What was there before, without which the stream would begin with a gap.
        self.earlier = list(self.bronze.keys(self.stream_folder))
        self.changes: list[list[str]] = []

    def snapshot(self, mode: str) -> None:
        try:
            [manifest] = run_batch(self.settings, self.tables, self.tables.tables, mode, 2)
        except LockedError:  # a TRUNCATE of the workload's was waiting
            return
        parts = [part.object.removeprefix(self.bronze.uri("")) for part in manifest.parts]
        self.snapshots.append([*parts, manifest.key])


def work(seed: int) -> Landed:
    """Let the writers write, take snapshots meanwhile, and return when all has landed."""
    dice = random.Random(seed)
    ingest("source", "generate", "--rows", "0")  # a TRUNCATE: what was before is gone
    landed = Landed()
    with writers(landed.settings, seed):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            landed.snapshot(dice.choice(("full", "incremental")))
            time.sleep(dice.uniform(0.1, 1.5))
    ingest("stream", "wait")
    keys = landed.bronze.keys(landed.stream_folder)
    landed.changes = [[key] for key in keys if key not in landed.earlier]
    return landed


def portions(dice: random.Random, items: list[list[str]], count: int) -> list[list[str]]:
    """The items in random order, cut at random into `count` lists of keys."""
    items = dice.sample(items, len(items))
    cuts = sorted(dice.sample(range(1, len(items)), count - 1))
    return [
        [key for item in items[start:end] for key in item]
        for start, end in zip([0, *cuts], [*cuts, len(items)], strict=True)
    ]


@pytest.fixture(scope="module")
def captured(stack: dict[str, str]) -> None:
    """The source's table is there and its changes are captured."""
    ingest("source", "generate", "--rows", "0")
    ingest("stream", "capture")
    ingest("bronze-tables")


@settings(max_examples=EXAMPLES, print_blob=True)
@given(seed=st.integers(0, 2**16))
def test_silver_equals_the_source_by_every_path(captured: None, seed: int) -> None:
    dice = random.Random(seed)
    landed = work(seed)
    snapshots, changes = list(landed.snapshots), landed.changes
    assert len(changes) > 4
    landed.snapshot("full")
    with lake() as batch:
        # A batch knows what is there when it is taken: only the last says how it ended.
        for keys in portions(dice, landed.snapshots, 2):
            batch.show(keys)
            batch.run()
        assert batch.differences("loan_applications") == []
    with lake() as stream:
        first, second, third = portions(dice, changes, 3)
        stream.show([*landed.earlier, *first])
        stream.run()
        stream.show(third)
        stream.run()
        stream.show([*second, *first])
        assert stream.differences("loan_applications_live", rejected=False) == []
        stream.run()
        assert stream.differences("loan_applications") == []
    with lake() as both:
        both.show(landed.earlier)
        for keys in portions(dice, [*snapshots, *changes], 3):
            both.show(keys)
            both.run()
        assert both.differences("loan_applications") == []
        assert both.differences("loan_applications_live", rejected=False) == []
        done = both.dbt("test", "--exclude", "test_type:unit", "gold", "exposure:*")
        assert done.returncode == 0, done.stdout
        both.run()
        landed_again = f"{both.silver}.int_loan_applications__landed"
        assert both.query(f"select count(*) from {landed_again} where claim <> 'truncate'") == [[0]]

"""A lake that is shown, of what the real loaders landed, just what a test gives it."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ingestion.batch.manifest import Mode
from ingestion.batch.run import run_batch
from ingestion.errors import LockedError
from ingestion.reconcile.run import reconcile_table
from ingestion.settings import get_settings
from ingestion.storage import Bronze
from ingestion.stream.topics import topic_of
from ingestion.tables import Reconcile, Table, load_tables
from tests.integration.small_lake import SmallLake
from tests.stack import delete_objects, objects_administrator

TABLE = "loan_applications"


class ShownLake(SmallLake):
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
        self.make_tables("--select", "+silver")

    def run_twice_at_once(self) -> None:
        """Two runs that start together: one waits for the other, and both succeed."""
        other = copy(self)
        other.folder = self.folder / "other"
        with ThreadPoolExecutor(2) as pool:
            runs = [
                pool.submit(one.make_tables, "--select", "+silver", fold_lock_wait_seconds=600)
                for one in (self, other)
            ]
        for run in runs:
            run.result()

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
def shown_lake() -> Iterator[ShownLake]:
    with TemporaryDirectory() as folder:
        made = ShownLake(Path(folder))
        made.make_bronze()
        try:
            yield made
        finally:
            for schema in (made.silver, made.gold):
                made.query(f"drop schema if exists {schema} cascade")
            made.query(f"drop schema {made.bronze} cascade")
            delete_objects(made.bucket, Bronze(get_settings()).keys(f"{made.place}/"))


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

    def snapshot(self, mode: Mode) -> None:
        try:
            [manifest] = run_batch(self.settings, self.tables, self.tables.tables, mode, 2)
        except LockedError:  # a TRUNCATE of the workload's was waiting
            return
        parts = [part.object.removeprefix(self.bronze.uri("")) for part in manifest.parts]
        self.snapshots.append([*parts, manifest.key])

    def find_changes(self) -> None:
        """Once all has landed."""
        keys = self.bronze.keys(self.stream_folder)
        self.changes = [[key] for key in keys if key not in self.earlier]

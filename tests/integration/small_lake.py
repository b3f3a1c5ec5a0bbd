"""A lake of a few rows in schemas of its own, so that no test meets another's data.

The stack's address is in the environment, where the fixture `stack` puts it.

Its bronze is made through Trino and not by ingestion: these tests are about what
happens to data after it has landed.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from infra.paths import REPO
from tests.stack import query_trino

DBT_PROJECT = REPO / "dbt_project"

MANIFESTS = """
create table {bronze}.batch_snapshots as
select
    snapshot_id,
    'loan_applications' as table_name,
    mode,
    lsn,
    bigint '1' as xmin,
    bigint '2' as xmax,
    cast(array[] as array(bigint)) as xip,
    taken_at,
    taken_at as landed_at,
    row_count,
    bigint '1' as byte_count,
    date(from_iso8601_timestamp(taken_at)) as dt
from (
    values
    ('full-1', 'full', bigint '10', bigint '3', '2026-01-01T08:00:00Z'),
    ('full-2', 'full', bigint '20', bigint '4', '2026-01-02T08:00:00.000001Z'),
    ('incremental-3', 'incremental', bigint '30', bigint '2', '2026-01-02T20:00:00Z')
) as manifest (snapshot_id, mode, lsn, row_count, taken_at)
"""

PARTS = """
create table {bronze}.loan_applications as
select
    cast(application_id as bigint) as application_id,
    person_age,
    cast('female' as varchar) as person_gender,
    cast('Master' as varchar) as person_education,
    cast(71948 as decimal(12, 2)) as person_income,
    5 as person_emp_exp,
    cast('RENT' as varchar) as person_home_ownership,
    cast(35000 as decimal(12, 2)) as loan_amnt,
    cast('PERSONAL' as varchar) as loan_intent,
    cast(16.02 as decimal(5, 2)) as loan_int_rate,
    cast(0.49 as decimal(5, 2)) as loan_percent_income,
    3 as cb_person_cred_hist_length,
    credit_score,
    cast(if(application_id = 1, 'Yes', 'No') as varchar) as previous_loan_defaults_on_file,
    cast(if(application_id = 1, 0, 1) as smallint) as loan_status,
    timestamp '2024-01-01 00:00:00.000000' as created_at,
    updated_at,
    cast(snapshot_id as varchar) as _snapshot_id,
    cast(null as varchar) as _unreadable,
    dt
from (
    values
    -- superseded; 4 is deleted since
    (1, 30, 501, timestamp '2024-01-01 00:00:00.000000', 'full-1', date '2026-01-01'),
    (2, 30, 502, timestamp '2024-01-01 00:11:40.000000', 'full-1', date '2026-01-01'),
    (4, 30, 504, timestamp '2024-01-01 00:23:20.000000', 'full-1', date '2026-01-01'),
    -- the current state; 6 is over 100 years old
    (1, 30, 601, timestamp '2024-01-01 00:00:00.000000', 'full-2', date '2026-01-02'),
    (2, 30, 602, timestamp '2024-01-01 00:11:40.000000', 'full-2', date '2026-01-02'),
    (3, 30, 603, timestamp '2024-06-01 00:00:00.000001', 'full-2', date '2026-01-02'),
    (6, 144, 606, timestamp '2024-01-01 00:00:00.000000', 'full-2', date '2026-01-02'),
    -- changed, and new, since
    (2, 30, 702, timestamp '2024-02-01 00:00:00.000000', 'incremental-3', date '2026-01-02'),
    (5, 30, 705, timestamp '2024-03-01 00:00:00.000000', 'incremental-3', date '2026-01-02'),
    -- has landed, but was never committed
    (3, 30, 303, timestamp '2024-07-01 00:00:00.000000', 'no-manifest', date '2026-01-02')
) as part (application_id, person_age, credit_score, updated_at, snapshot_id, dt)
"""


# The stream's changes: none.
CHANGES = """
create table {bronze}.loan_applications_changes (
    key varchar, op varchar, before varchar, after varchar, lsn bigint, tx_id bigint,
    committed_at timestamp(6), topic varchar, topic_id varchar, partition integer,
    "offset" bigint, produced_at timestamp(6), landed_at timestamp(6), object_start bigint,
    object_end bigint, problem varchar, dt date, hour integer
)
"""

# A row as the stream delivers it.
IMAGE = {
    "person_age": 30,
    "person_gender": "female",
    "person_education": "Master",
    "person_income": "71948.00",
    "person_emp_exp": 5,
    "person_home_ownership": "RENT",
    "loan_amnt": "35000.00",
    "loan_intent": "PERSONAL",
    "loan_int_rate": "16.02",
    "loan_percent_income": "0.49",
    "cb_person_cred_hist_length": 3,
    "previous_loan_defaults_on_file": "No",
    "loan_status": 1,
    "created_at": "2024-01-01T00:00:00Z",
    "updated_at": "2024-01-01T00:00:00.000001Z",
}


WITHOUT_TESTS = ("--exclude-resource-type", "test", "unit_test")


@dataclass
class SmallLake:
    folder: Path  # for what dbt leaves behind
    prefix: str = field(default_factory=lambda: f"test_{uuid.uuid4().hex[:8]}_")
    bronze_catalog: str = "iceberg"

    @property
    def bronze(self) -> str:
        return f"{self.bronze_catalog}.{self.prefix}bronze"

    @property
    def silver(self) -> str:
        return f"iceberg.{self.prefix}silver"

    @property
    def gold(self) -> str:
        return f"iceberg.{self.prefix}gold"

    @property
    def manifest(self) -> Path:
        """What dbt's last command over this lake wrote; where none has run, it reads its files."""
        file = self.folder / "target/manifest.json"
        if not file.exists():
            done = self.dbt("parse")
            assert done.returncode == 0, done.stdout
        return file

    def query(self, sql: str) -> list[list[Any]]:
        return query_trino(os.environ, sql)

    def land_change(self, key: int, op: str, lsn: int, after: str, problem: str = "") -> None:
        """Land a change of an application by the stream, in an object of its own."""
        end = f"select coalesce(max(object_end), 0) from {self.bronze}.loan_applications_changes"
        [[start]] = self.query(end)
        if problem:
            values = f"null, null, null, null, null, null, null, '{problem}'"
        else:
            values = f"""'{{"application_id":{key}}}', '{op}', null, '{after}', {lsn}, 100,"""
            values += " localtimestamp, null"
        self.query(
            f"insert into {self.bronze}.loan_applications_changes (key, op, before, after, lsn,"
            ' tx_id, committed_at, problem, topic, topic_id, partition, "offset", produced_at,'
            f" landed_at, object_start, object_end, dt, hour) values ({values}, 'topic', 'id', 0,"
            f" {start}, localtimestamp, localtimestamp, {start}, {start + 1}, current_date, 0)"
        )

    @property
    def variables(self) -> str:
        """What makes dbt work on this lake, for `--vars`."""
        return self.variables_with()

    def variables_with(self, **more: object) -> str:
        return yaml.safe_dump(
            {
                "bronze_catalog": self.bronze_catalog,
                "bronze_schema": f"{self.prefix}bronze",
                "schema_prefix": self.prefix,
                **more,
            }
        )

    def make_tables(self, *selection: str, **variables: int) -> None:
        """Run seeds and models, without their tests; they must succeed."""
        build = self.dbt("build", *WITHOUT_TESTS, *selection, project=DBT_PROJECT, **variables)
        assert build.returncode == 0, build.stdout

    def dbt(
        self, *arguments: str, project: Path = DBT_PROJECT, **variables: object
    ) -> subprocess.CompletedProcess[str]:
        """Run dbt over this lake; `project` may be a changed copy of ours."""
        command = self.command(*arguments, project=project, **variables)
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def command(
        self, *arguments: str, project: Path = DBT_PROJECT, **variables: object
    ) -> list[str]:
        """The command line of `dbt`."""
        return [
            str(Path(sys.executable).with_name("dbt")),
            "--no-use-colors",
            *arguments,
            *("--project-dir", str(project)),
            *("--profiles-dir", str(project)),
            *("--target-path", str(self.folder / "target")),
            *("--log-path", str(self.folder / "logs")),
            *("--vars", self.variables_with(**variables)),
        ]


@contextmanager
def small_lake() -> Iterator[SmallLake]:
    with TemporaryDirectory() as folder:
        lake = SmallLake(Path(folder))
        location = f"s3://{os.environ['SILVER_BUCKET']}/_{lake.prefix}bronze/"
        lake.query(f"create schema {lake.bronze} with (location = '{location}')")
        try:
            lake.query(MANIFESTS.format(bronze=lake.bronze))
            lake.query(PARTS.format(bronze=lake.bronze))
            lake.query(CHANGES.format(bronze=lake.bronze))
            yield lake
        finally:
            failures = f"iceberg.{lake.prefix}dbt_test_failures"
            for schema in (lake.bronze, lake.silver, lake.gold, failures):
                lake.query(f"drop schema if exists {schema} cascade")

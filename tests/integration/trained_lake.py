"""A small lake of 3,000 decided applications, the settings of a model, and our commands on it."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from infra.paths import REPO
from ml.settings import DEFAULT_FILE
from tests.integration.small_lake import SmallLake, small_lake
from tests.stack import delete_objects, objects_administrator

# 3,000 applications over four months, decided by amount, income and chance.
APPLICATIONS = """
create table {bronze}.loan_applications as
select
    application_id,
    20 + cast(mod(chance, 40) as integer) as person_age,
    if(mod(chance, 2) = 0, 'female', 'male') as person_gender,
    element_at(array['High School', 'Bachelor', 'Master'], cast(mod(chance, 3) as integer) + 1)
        as person_education,
    cast(income as decimal(12, 2)) as person_income,
    cast(mod(chance, 17) as integer) as person_emp_exp,
    element_at(array['RENT', 'OWN', 'MORTGAGE'], cast(mod(chance, 7) / 3 as integer) + 1)
        as person_home_ownership,
    cast(amount as decimal(12, 2)) as loan_amnt,
    element_at(array['MEDICAL', 'VENTURE', 'PERSONAL'], cast(mod(chance, 11) / 4 as integer) + 1)
        as loan_intent,
    cast(5 + mod(chance, 1500) / 1e2 as decimal(5, 2)) as loan_int_rate,
    cast(least(round(amount / income, 2), 9) as decimal(5, 2)) as loan_percent_income,
    cast(2 + mod(chance, 13) as integer) as cb_person_cred_hist_length,
    cast(400 + mod(chance, 401) as integer) as credit_score,
    if(defaulted, 'Yes', 'No') as previous_loan_defaults_on_file,
    cast(if(not defaulted and wish > luck, 1, 0) as smallint) as loan_status,
    updated_at as created_at,
    updated_at,
    cast('full-2' as varchar) as _snapshot_id,
    cast(null as varchar) as _unreadable,
    date '2026-01-02' as dt
from (
    select
        *,
        mod(chance, 5) = 0 as defaulted,
        1 / (1 + exp(2.5 - 12 * amount / income)) as wish,
        mod(bitwise_right_shift(chance, 9), 1000) / 1e3 as luck
    from (
        select
            application_id,
            chance,
            30000e0 + mod(bitwise_right_shift(chance, 5), 70000) as income,
            1000e0 + mod(bitwise_right_shift(chance, 13), 24000) as amount,
            timestamp '2024-01-01 00:00:00.000000' + application_id * interval '55' minute
                as updated_at
        from (
            select
                application_id,
                bitwise_and(
                    from_big_endian_64(xxhash64(to_big_endian_64(application_id))),
                    4611686018427387903
                ) as chance
            from unnest(sequence(bigint '1', bigint '3000')) as keys (application_id)
        )
    )
)
"""


@contextmanager
def decided_lake() -> Iterator[SmallLake]:
    """Bronze to gold, of one full snapshot."""
    with small_lake() as lake:
        lake.query(f"drop table {lake.bronze}.loan_applications")
        lake.query(APPLICATIONS.format(bronze=lake.bronze))
        lake.query(
            f"create table {lake.bronze}.manifests as select * from {lake.bronze}.batch_snapshots"
        )
        lake.query(f"drop table {lake.bronze}.batch_snapshots")
        lake.query(
            f"create table {lake.bronze}.batch_snapshots as select * from {lake.bronze}.manifests"
            " where snapshot_id = 'full-2'"
        )
        lake.make_tables()
        yield lake


def write_settings(folder: Path) -> Path:
    """The project's settings with a model of the test's own, and a short search."""
    content = yaml.safe_load(DEFAULT_FILE.read_text())
    content["model"] = f"test_{uuid.uuid4().hex[:8]}"
    content["tracking"]["experiment"] = content["model"]
    content["training"] |= {"trials": 2, "folds": 2, "maximum_rounds": 40, "patience": 5}
    content["interval"]["resamples"] = 20
    content["gates"] |= {"minimum_auc": 0.7, "maximum_ece": 0.2, "minimum_month_auc": 0.5}
    content["gates"]["minimum_selection_ratio"] = {"gender": 0.5}
    content["gates"]["maximum_true_positive_difference"] = {"gender": 0.3}
    content["gates"]["maximum_noise_loss"] = 0.1
    file = folder / "settings.yml"
    file.write_text(yaml.safe_dump(content))
    return file


def environment_of(lake: SmallLake) -> dict[str, str]:
    """The environment in which our commands meet the lake; within `served_lake.served`."""
    return {
        **os.environ,
        "SILVER_SCHEMA": f"{lake.prefix}silver",
        "NO_COLOR": "1",
        "COLUMNS": "160",
    }


def ml(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m ml`, as it is typed."""
    command = ml_command(*arguments)
    return subprocess.run(
        command, cwd=REPO, env=env, text=True, capture_output=True, check=False, timeout=300
    )


def ml_command(*arguments: str) -> list[str]:
    return [sys.executable, "-O", "-m", "ml", *arguments]


@contextmanager
def landed_scores() -> Iterator[Callable[[], list[str]]]:
    """The keys of the scores that land meanwhile; they are removed at the end.

    Bronze has one table of scores, in which another model's version 1 would be this one's.
    """
    store, bucket = objects_administrator(), os.environ["BRONZE_BUCKET"]

    def keys() -> set[str]:
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        found = (entry["Key"] for page in pages for entry in page.get("Contents", []))
        return {key for key in found if key.startswith(("scores/", "loan_score_runs/"))}

    before = keys()
    try:
        yield lambda: sorted(key for key in keys() - before if not key.endswith("/"))
    finally:
        delete_objects(bucket, keys() - before)

"""Our feature repository as another project, over a gold of the test's own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from feast import FeatureStore
from rich.console import Console
from rich.progress import Progress

from feast_repo.materialize import Materialized, materialize
from infra.paths import REPO
from tests.integration.small_lake import SmallLake

# A gold of so many applications is long enough in the making to be interrupted.
GOLD_ROWS = """
create or replace table {gold}.{table} as
select
    application_id,
    from_unixtime(application_id) as event_timestamp,
    timestamp '2026-01-01 00:00:00.000000 UTC' as created_timestamp,
    {columns}
from unnest(sequence(1, {hundreds})) as high (high)
cross join unnest(sequence(1, 100)) as low (low)
cross join unnest(array[100 * (high - 1) + low]) as keys (application_id)
"""
COLUMNS = {
    "applicant_features": """
        bigint '30' as age_years, varchar 'female' as gender, varchar 'Master' as education,
        {number} as annual_income, bigint '5' as employment_years, varchar 'RENT' as home_ownership
    """,
    "loan_features": """
        {number} as loan_amount, varchar 'MEDICAL' as loan_purpose,
        11.5e0 as interest_rate_percent, 17e0 as loan_to_income_percent
    """,
    "credit_history_features": """
        cast({number} as bigint) as credit_score, varchar 'good' as credit_score_band,
        bigint '4' as credit_history_years, false as has_previous_default
    """,
}


def make_gold(lake: SmallLake, hundreds: int, number: int) -> None:
    """Replace gold's tables by such rows; `number` is in every one, in all of them."""
    place = f"s3://gold/_{lake.prefix}gold/"
    lake.query(f"create schema if not exists {lake.gold} with (location = '{place}')")
    for empty in ("folded_offsets", "segment_activity_by_minute", "loan_segment_activity"):
        lake.query(f"create table if not exists {lake.gold}.{empty} ({contract_of(lake, empty)})")
    everything = f"{', '.join(COLUMNS.values())}, true as is_current"
    for table, columns in {**COLUMNS, "historical_features": everything}.items():
        lake.query(
            GOLD_ROWS.format(
                gold=lake.gold,
                table=table,
                hundreds=hundreds,
                columns=columns.format(number=f"cast({number} as double)"),
            )
        )


def contract_of(lake: SmallLake, model: str) -> str:
    """The columns of a model as dbt promises them, for `create table`."""
    nodes = json.loads(lake.manifest.read_text())["nodes"]
    columns = nodes[f"model.loan_lakehouse.{model}"]["columns"].values()
    return ", ".join(f"{column['name']} {column['data_type']}" for column in columns)


def feast(repo: Path, *arguments: str) -> str:
    run = subprocess.run(
        [str(Path(sys.executable).with_name("feast")), "-c", str(repo), *arguments],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def register_ours(lake: SmallLake) -> None:
    """The repository itself, over the real gold, whose tables Feast looks at must be there."""
    for table in ("historical_features", "loan_segment_activity"):
        lake.query(
            f"create table if not exists iceberg.gold.{table} as"
            f" select * from {lake.gold}.{table} with no data"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_MANIFEST", str(lake.manifest))
        feast(REPO / "feast_repo", "apply")


def remove_project(store: FeatureStore) -> None:
    """Delete this project and its online tables.

    Not by `feast teardown`: that deletes all projects of the registry, and leaves objects
    that prevent them from being applied again.
    """
    everything: list[Any] = [
        *store.list_feature_services(),
        *store.list_on_demand_feature_views(),
        *store.list_feature_views(),
        *store.list_data_sources(),
        *store.list_entities(),
    ]
    store.apply([], objects_to_delete=everything, partial=False)
    store.registry.delete_project(store.project)


@contextmanager
def served(lake: SmallLake, folder: Path) -> Iterator[Path]:
    """The repository, applied; FEAST_REPO names it to our commands."""
    repo = Path(shutil.copytree(REPO / "feast_repo", folder / "repo"))
    config = repo / "feature_store.yaml"
    config.write_text(
        config.read_text().replace("project: loan_approval", f"project: {lake.prefix}loans")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLD_SCHEMA", f"{lake.prefix}gold")
        patch.setenv("FEAST_REPO", str(repo))
        patch.setenv("DBT_MANIFEST", str(lake.manifest))
        feast(repo, "apply")
        try:
            yield repo
        finally:
            remove_project(FeatureStore(repo_path=str(repo)))


def materialize_views(store: FeatureStore, everything: bool = False) -> dict[str, Materialized]:
    with Progress(console=Console(quiet=True)) as progress:
        return {done.view: done for done in materialize(store, progress, everything)}


def command(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One of our commands, as it is typed."""
    return subprocess.run(
        [sys.executable, "-m", f"feast_repo.{name}", *arguments],
        cwd=REPO,
        text=True,
        capture_output=True,
        check=False,
    )

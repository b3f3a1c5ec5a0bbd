"""dbt on Trino: bronze becomes silver and gold, or the build fails and changes nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_lake import DBT_PROJECT, SmallLake, small_lake


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    """A lake that `dbt build` was run over, with its unit and data tests."""
    with small_lake() as lake:
        build = lake.dbt("build")
        assert build.returncode == 0, build.stdout
        yield lake


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, to change."""
    return Path(
        shutil.copytree(
            DBT_PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("target", "logs")
        )
    )


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def versions(lake: SmallLake, table: str) -> list[list[object]]:
    """The snapshots that Iceberg holds of a table: equal if nothing was written."""
    schema, name = table.rsplit(".", 1)
    return lake.query(f'select committed_at, snapshot_id from {schema}."{name}$snapshots"')


def test_silver_is_the_newest_full_snapshot_and_what_changed_since(lake: SmallLake) -> None:
    rows = lake.query(
        "select application_id, credit_score, _snapshot_id, cast(updated_at as varchar), "
        f"cast(_known_at as varchar) from {lake.silver}.loan_applications order by 1"
    )
    taken, retaken = "2026-01-02 08:00:00.000001 UTC", "2026-01-02 20:00:00.000000 UTC"
    assert rows == [
        [1, 601, "full-2", "2024-01-01 00:00:00.000000 UTC", taken],
        [2, 702, "incremental-3", "2024-02-01 00:00:00.000000 UTC", retaken],
        [3, 603, "full-2", "2024-06-01 00:00:00.000001 UTC", taken],
        [5, 705, "incremental-3", "2024-03-01 00:00:00.000000 UTC", retaken],
    ]


def test_a_row_that_breaks_a_rule_is_rejected_with_the_rule(lake: SmallLake) -> None:
    rows = lake.query(
        f"select application_id, broken_rules from {lake.silver}.rejected_loan_applications"
    )
    assert rows == [[6, ["age_over_100"]]]


def test_gold_holds_what_silver_holds(lake: SmallLake) -> None:
    assert lake.query(
        "select application_id, age_years, annual_income, loan_amount, loan_to_income_percent, "
        "credit_score, credit_score_band, has_previous_default "
        f"from {lake.gold}.applicant_features "
        f"join {lake.gold}.loan_features using (application_id) "
        f"join {lake.gold}.credit_history_features using (application_id) order by 1"
    ) == [
        [1, 30, 71948.0, 35000.0, 49.0, 601, "fair", True],
        [2, 30, 71948.0, 35000.0, 49.0, 702, "good", False],
        [3, 30, 71948.0, 35000.0, 49.0, 603, "fair", False],
        [5, 30, 71948.0, 35000.0, 49.0, 705, "good", False],
    ]
    assert lake.query(
        "select cast(application_date as varchar), loan_purpose, applications, approvals, "
        f"approval_rate_percent from {lake.gold}.approvals_by_day_and_purpose"
    ) == [["2024-01-01", "PERSONAL", 4, 3, 75.0]]


def test_a_broken_contract_fails_and_leaves_the_table(lake: SmallLake, project: Path) -> None:
    before = versions(lake, f"{lake.gold}.loan_features")
    replace(
        project / "models/gold/features/loan_features.sql",
        "cast(loan_amnt as double)",
        "loan_amnt",
    )

    run = lake.dbt("run", "--select", "loan_features", project=project)

    assert run.returncode == 1
    assert "This model has an enforced contract that failed" in run.stdout
    assert versions(lake, f"{lake.gold}.loan_features") == before


def test_a_query_that_fails_halfway_leaves_the_table(lake: SmallLake, project: Path) -> None:
    # With dbt-trino's own two statements, the table would be left empty.
    before = versions(lake, f"{lake.gold}.loan_features")
    replace(
        project / "models/gold/features/loan_features.sql",
        "cast(loan_amnt as double)",
        "cast(1 / (application_id - 5) as double)",
    )

    run = lake.dbt("run", "--select", "loan_features", project=project)

    assert run.returncode == 1
    assert "Division by zero" in run.stdout
    assert versions(lake, f"{lake.gold}.loan_features") == before


def test_a_snapshot_that_lost_rows_stops_before_silver(lake: SmallLake) -> None:
    before = versions(lake, f"{lake.silver}.loan_applications")
    lake.query(
        f"insert into {lake.bronze}.batch_snapshots "
        f"select 'full-4', table_name, mode, 40, xmin, xmax, xip, taken_at, landed_at, 1000, "
        f"byte_count, dt from {lake.bronze}.batch_snapshots where snapshot_id = 'full-2'"
    )
    try:
        build = lake.dbt("build", "--select", "+loan_applications")
    finally:
        lake.query(f"delete from {lake.bronze}.batch_snapshots where snapshot_id = 'full-4'")

    assert build.returncode == 1
    assert "FAIL 1 assert_snapshots_are_whole" in build.stdout
    assert "SKIP relation" in build.stdout
    assert versions(lake, f"{lake.silver}.loan_applications") == before

"""dbt on Trino: bronze becomes silver and gold, or the build fails and changes nothing."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.small_lake import DBT_PROJECT, IMAGE, SmallLake, small_lake


@pytest.fixture
def lake(lake_to_read: SmallLake) -> SmallLake:
    return lake_to_read


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
        "select application_id, credit_score, _version_id, cast(updated_at as varchar), "
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
        "select cast(application_date as varchar), segment, applications, approvals, "
        f"approval_rate_percent from {lake.gold}.loan_book_by_day_and_segment"
        " where segment_kind = 'purpose'"
    ) == [["2024-01-01", "PERSONAL", 4, 3, 75.0]]


def test_scores_build_before_a_model_has_scored(lake: SmallLake) -> None:
    # As by `dbt build --exclude …`: a selection takes the place of the default selector.
    build = lake.dbt("build", "--select", "tag:scores", "--exclude", "test_type:unit")
    assert build.returncode == 0, build.stdout
    assert lake.query(f"select * from {lake.silver}.loan_scores") == []


def test_a_broken_contract_and_a_query_that_fails_halfway_leave_the_table(
    lake: SmallLake, project: Path
) -> None:
    tables = [f"{lake.gold}.loan_features", f"{lake.gold}.applicant_features"]
    before = [versions(lake, table) for table in tables]
    replace(
        project / "models/gold/features/loan_features.sql",
        "        loan_amount,",
        "        cast(loan_amount as decimal(12, 2)) as loan_amount,",
    )
    # With dbt-trino's own two statements, the table would be left empty.
    replace(
        project / "models/gold/features/applicant_features.sql",
        "        annual_income,",
        "        cast(1 / (application_id - 5) as double) as annual_income,",
    )

    run = lake.dbt("run", "--select", "loan_features", "applicant_features", project=project)

    assert run.returncode == 1
    assert "loan_features would break its contract." in run.stdout
    assert "It promises: loan_amount DOUBLE" in run.stdout
    assert "The query has: loan_amount DECIMAL" in run.stdout
    assert "Feast feature view loan\n" in run.stdout
    assert "write it into models/gold/features/loan_features.yml" in run.stdout
    assert "Division by zero" in run.stdout
    assert [versions(lake, table) for table in tables] == before


def test_a_snapshot_that_lost_rows_stops_before_silver(lake: SmallLake) -> None:
    before = versions(lake, f"{lake.silver}.int_loan_applications__state")
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
    assert versions(lake, f"{lake.silver}.int_loan_applications__state") == before


AFTER = IMAGE | {"application_id": 7, "credit_score": 707}
UP_TO_SILVER: tuple[str, ...] = ("--select", "+silver", "--indirect-selection", "cautious")
UP_TO_SILVER += ("--exclude-resource-type", "unit_test")


def scores(lake: SmallLake, table: str = "loan_applications") -> dict[int, int]:
    rows = lake.query(f"select application_id, credit_score from {lake.silver}.{table}")
    return {int(key): int(score) for key, score in rows}


@pytest.fixture(scope="module")
def own_lake() -> Iterator[SmallLake]:
    """A lake in which each test lands one more change by the stream."""
    with small_lake() as lake:
        lake.make_tables("--select", "+silver")
        yield lake


def test_the_source_s_columns_may_come_and_must_not_go(own_lake: SmallLake) -> None:
    # A new one: nothing stops, and the live view shows the row before the run does.
    own_lake.land_change(7, "c", 100, json.dumps(AFTER | {"branch": "north"}))
    assert scores(own_lake, "loan_applications_live")[7] == 707
    assert 7 not in scores(own_lake)
    build = own_lake.dbt("build", *UP_TO_SILVER)
    assert build.returncode == 0, build.stdout
    assert scores(own_lake)[7] == 707

    # One renamed: silver stays as it is, and the message says where to look.
    before = versions(own_lake, f"{own_lake.silver}.int_loan_applications__state")
    renamed = {("score" if k == "credit_score" else k): v for k, v in AFTER.items()}
    own_lake.land_change(7, "u", 110, json.dumps(renamed | {"loan_status": 0}))
    build = own_lake.dbt("build", *UP_TO_SILVER)
    assert build.returncode == 1
    assert "Failure in test the_source_still_has_what_silver_needs" in build.stdout
    found = build.stdout.split("See test failures:")[1].split("\n")[2].strip()
    assert own_lake.query(found) == [["the source no longer has credit_score", 1]]
    assert versions(own_lake, f"{own_lake.silver}.int_loan_applications__state") == before


def test_late_changes_are_folded_in_and_a_dead_letter_only_warns(
    own_lake: SmallLake,
) -> None:
    """After the test above; the column has its name again."""
    changes = f"{own_lake.bronze}.loan_applications_changes"
    own_lake.query(f"""update {changes} set after = replace(after, '"score"', '"credit_score"')""")
    own_lake.land_change(0, "", 0, "", problem="not JSON")
    own_lake.land_change(8, "c", 120, json.dumps(AFTER | {"application_id": 8}))
    own_lake.land_change(1, "d", 130, "null")
    build = own_lake.dbt("build", *UP_TO_SILVER)
    assert build.returncode == 0, build.stdout
    assert "WARN 1 no_new_dead_letters" in build.stdout
    folded = scores(own_lake)
    assert folded.keys() == {2, 3, 5, 7, 8}
    assert folded[8] == 707
    rows = own_lake.query(
        f"select loan_status from {own_lake.silver}.loan_applications where application_id = 7"
    )
    assert rows == [[0]]


def test_a_full_refresh_comes_to_the_same(own_lake: SmallLake) -> None:
    folded = scores(own_lake)
    half = own_lake.dbt("run", "--full-refresh", "--select", "int_loan_applications__state")
    assert half.returncode == 1
    assert "A full refresh of int_loan_applications__state needs one of" in half.stdout
    assert own_lake.dbt("run", "--full-refresh", "--select", "+silver").returncode == 0
    assert scores(own_lake) == folded


def test_a_value_that_silver_cannot_hold_stops_no_other(own_lake: SmallLake) -> None:
    """After the tests above. 9 is new; 2 and 3 have batch rows, which stay valid."""
    before = scores(own_lake)
    own_lake.land_change(2, "u", 200, json.dumps(AFTER | {"updated_at": "infinity"}))
    own_lake.land_change(9, "c", 210, json.dumps(AFTER | {"person_income": "NaN"}))
    own_lake.land_change(3, "u", 220, '{"person_age": 30,')
    own_lake.land_change(5, "u", 230, json.dumps(AFTER | {"credit_score": 655}))
    assert scores(own_lake, "loan_applications_live") == before | {5: 655}
    build = own_lake.dbt("build", *UP_TO_SILVER)
    assert build.returncode == 0, build.stdout
    assert "WARN 3 all_changes_can_be_read" in build.stdout
    assert scores(own_lake) == before | {5: 655}
    assert scores(own_lake, "loan_applications_live") == before | {5: 655}
    listed = "select row_key, column_name, position_in_source from {}.unreadable_changes order by 1"
    assert own_lake.query(listed.format(own_lake.silver)) == [
        ["2", "updated_at", "log position 200"],
        ["3", None, "log position 220"],
        ["9", "person_income", "log position 210"],
    ]

    own_lake.land_change(2, "u", 240, json.dumps(AFTER | {"credit_score": 652}))
    own_lake.land_change(9, "d", 250, "null")
    own_lake.land_change(3, "u", 260, json.dumps(AFTER | {"credit_score": 653}))
    own_lake.make_tables("--select", "+silver")
    assert scores(own_lake) == before | {2: 652, 3: 653, 5: 655}
    assert own_lake.query(listed.format(own_lake.silver)) == []


def test_changed_rules_count_for_all_that_has_landed(own_lake: SmallLake, project: Path) -> None:
    """After the tests above."""
    tables = ("--select", "+silver", "--exclude-resource-type", "test", "unit_test")
    own_lake.land_change(2, "u", 300, json.dumps(AFTER | {"person_education": "PhD"}))
    own_lake.make_tables(*tables[:2])
    assert 2 not in scores(own_lake)
    with (project / "seeds/accepted_values.csv").open("a") as seed:
        seed.write("person_education,PhD,0\n")
    replace(
        project / "dbt_project.yml", "predicate: person_age > 100", "predicate: person_age > 29"
    )

    assert own_lake.dbt("build", *tables, project=project).returncode == 0
    broken = {
        tuple(rules)
        for (rules,) in own_lake.query(
            f"select broken_rules from {own_lake.silver}.rejected_loan_applications"
        )
    }
    assert (scores(own_lake), broken) == ({}, {("age_over_100",)})
    accepted = f"select count(*) from {own_lake.silver}.loan_application_history where is_accepted"
    assert own_lake.query(accepted) == [[0]]

    # Back again.
    own_lake.make_tables(*tables[:2])
    assert scores(own_lake)
    assert 2 not in scores(own_lake)


def test_a_dry_run_that_would_empty_tables_is_refused(own_lake: SmallLake) -> None:
    before = scores(own_lake)
    build = own_lake.dbt("build", "--empty")
    assert build.returncode == 2
    assert "--empty would replace tables that people read" in build.stdout
    assert scores(own_lake) == before

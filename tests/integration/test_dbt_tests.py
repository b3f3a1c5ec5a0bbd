"""dbt's data tests in few statements: one scan answers those of a model, each fails by itself."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.small_lake import DBT_PROJECT, IMAGE, SmallLake, small_lake

# A model whose rows pass each kind of test that check_rows counts, and one whose rows fail each.
MODEL = """
select id, part, band, kind, problem
from (
    values
    {rows}
) as probe (id, part, band, kind, problem)
"""
GOOD = """
    (1, 1, 'poor', 'a', cast(null as varchar)),
    (2, 1, 'fair', 'b', cast(null as varchar))
"""
BAD = """
    (1, 1, 'poor', 'a', cast(null as varchar)),
    (1, 1, 'superb', 'b', 'broken'),
    (1, 1, 'superb', 'c', 'broken'),
    (null, 2, 'fair', 'd', 'torn')
"""
YAML = """
models:
{models}
"""
MODEL_YAML = """
  - name: {name}
    data_tests:
      - unique_combination: {{name: {name}_combination, arguments: {{columns: [id, part]}}}}
      - no_missing_value: {{name: {name}_missing}}
      - not_a_problem: {{name: {name}_problem, arguments: {{column_name: problem}}}}
    columns:
      - {{name: id, data_tests: [unique: {{name: {name}_unique}}, not_null: {{name: {name}_null}}]}}
      - {{name: part}}
      - name: band
        data_tests: [is_a_band: {{name: {name}_band, arguments: {{bands: credit_score}}}}]
      - name: kind
        data_tests: [accepted_values: {{name: {name}_values, arguments: {{values: [a, b]}}}}]
"""
# As dbt itself counts: wrong values by group, rows with a null one by one.
FAILURES = {
    "combination": 1,
    "missing": 1,
    "unique": 1,
    "null": 1,
    "band": 1,
    "values": 2,
    "problem": 2,
}


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    with small_lake() as lake:
        yield lake


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the two models."""
    folder = tmp_path_factory.mktemp("checked") / "project"
    shutil.copytree(DBT_PROJECT, folder, ignore=shutil.ignore_patterns("target", "logs"))
    models = folder / "models/staging"
    for name, rows in {"good": GOOD, "bad": BAD}.items():
        (models / f"{name}.sql").write_text(MODEL.format(rows=rows))
    listed = "".join(MODEL_YAML.format(name=name) for name in ("good", "bad"))
    (models / "checked.yml").write_text(YAML.format(models=listed))
    return folder


def failures(lake: SmallLake) -> dict[str, int]:
    """How many failures dbt reported of each test in its last run."""
    results = json.loads((lake.folder / "target/run_results.json").read_text())["results"]
    return {
        result["unique_id"].split(".")[2]: result["failures"]
        for result in results
        if result["unique_id"].startswith("test.")
    }


def kinds_run(lake: SmallLake) -> set[str]:
    """What kinds of nodes dbt ran last; hooks are none."""
    results = json.loads((lake.folder / "target/run_results.json").read_text())["results"]
    return {one["unique_id"].split(".")[0] for one in results} - {"operation"}


def statements(lake: SmallLake, node: str) -> int:
    """How many statements dbt has sent on behalf of a node of this lake."""
    [[count]] = lake.query(
        "select count(*) from system.runtime.queries where source like 'dbt-trino-%'"
        f""" and query like '%"node_id": "{node}"%' and query like '%{lake.prefix}%'"""
    )
    return int(count)


def views_of_failures(lake: SmallLake) -> set[str]:
    rows = lake.query(
        "select table_name from iceberg.information_schema.tables"
        f" where table_schema = '{lake.prefix}dbt_test_failures'"
    )
    return {name for (name,) in rows}


def test_each_test_fails_by_itself_with_its_own_count(lake: SmallLake, project: Path) -> None:
    build = lake.dbt("build", "--select", "good", "bad", project=project)
    assert build.returncode == 1, build.stdout
    expected = {f"bad_{name}": count for name, count in FAILURES.items()}
    found = failures(lake)
    assert {name: found[name] for name in expected} == expected, build.stdout
    assert {found[f"good_{name}"] for name in FAILURES} == {0}
    assert views_of_failures(lake) == set(expected)
    rows = lake.query(f"select * from iceberg.{lake.prefix}dbt_test_failures.bad_unique")
    assert rows == [[1, 3]]
    relation = f'"iceberg"."{lake.prefix}dbt_test_failures"."bad_unique"'
    assert f"select * from {relation}" in build.stdout

    # Tests alone, each in its own statement, say the same.
    lake.dbt("test", "--select", "good", "bad", project=project)
    assert found.items() >= failures(lake).items() >= expected.items()


def test_a_test_that_passes_costs_no_statement_and_removes_its_view(
    lake: SmallLake, project: Path
) -> None:
    before = statements(lake, "test.loan_lakehouse.good_null")
    (project / "models/staging/bad.sql").write_text(MODEL.format(rows=GOOD))
    build = lake.dbt("build", "--select", "good", "bad", project=project)
    assert build.returncode == 0, build.stdout
    assert views_of_failures(lake) == set()
    assert statements(lake, "test.loan_lakehouse.good_null") == before


def test_unit_tests_run_when_they_are_asked_for(lake: SmallLake) -> None:
    build = lake.dbt("build")
    assert build.returncode == 0, build.stdout
    assert "unit_test" not in kinds_run(lake)

    tests = lake.dbt("test", "--select", "test_type:unit")
    assert tests.returncode == 0, tests.stdout
    assert kinds_run(lake) == {"unit_test"}


def test_a_run_tests_the_history_that_changed_and_once_a_day_all_of_it(lake: SmallLake) -> None:
    lake.make_tables("--select", "+silver")
    lake.land_change(2, "u", 100, json.dumps(IMAGE | {"application_id": 2, "credit_score": 777}))
    lake.make_tables("--select", "+silver")
    versions = f"{lake.silver}.int_loan_applications__versions"
    tests = ("test", "--select", "int_loan_applications__versions")

    twice = f"insert into {versions} select * from {versions} where version_id = 'full-2'"
    lake.query(f"{twice} and application_id = 1")
    assert lake.dbt(*tests).returncode == 0
    whole = lake.dbt(*tests, test_whole_tables=True)
    assert whole.returncode == 1
    assert "FAIL 1 unique_combination_int_loan_applications__versions" in whole.stdout

    lake.query(f"{twice} and application_id = 2")
    changed = lake.dbt(*tests)
    assert changed.returncode == 1
    assert "unique_combination_int_loan_applications__versions" in changed.stdout


def test_a_changed_description_is_written_to_a_table_that_is_only_added_to(
    lake: SmallLake, tmp_path: Path
) -> None:
    lake.make_tables("--select", "+int_loan_applications__progress")
    project = tmp_path / "project"
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    yml = project / "models/intermediate/int_loan_applications__progress.yml"
    yml.write_text(
        yml.read_text().replace("    description: >\n", "    description: >\n      New!\n", 1)
    )
    run = lake.dbt("run", "--select", "int_loan_applications__progress", project=project)
    assert run.returncode == 0, run.stdout
    [[comment]] = lake.query(
        "select comment from system.metadata.table_comments where catalog_name = 'iceberg'"
        f" and schema_name = '{lake.prefix}silver'"
        " and table_name = 'int_loan_applications__progress'"
    )
    assert comment.startswith("New! ")

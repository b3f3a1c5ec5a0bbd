"""Reconciliation finds what differs between the source and silver, and where."""

import json
import subprocess
import sys
from typing import Any

import pytest

from ingestion.errors import IngestionError
from ingestion.reconcile.run import TableResult, reconcile_table
from tests.integration.limits import make_limits

ROWS = 400


@pytest.fixture
def silver(corner: Any) -> str:
    """A source table and its equal in silver; every tenth row is among the rejected."""
    s = corner.schema
    corner.sql(
        f"CREATE TABLE {s}.t (id bigint PRIMARY KEY, money numeric(12,2), note text,"
        " at timestamptz)",
        f"INSERT INTO {s}.t SELECT i, i + 0.25, CASE WHEN i % 7 > 0 THEN 'n' || i END,"
        " '1969-12-31 23:59:59.999999Z'::timestamptz + (i - 3) * interval '1 microsecond'"
        f" FROM generate_series(1, {ROWS}) AS i",
    )
    name = corner.silver
    table = corner.configure("t", reconcile={"silver": f"{name}.t", "rejected": f"{name}.rejected"})
    corner.land()
    corner.ensure_tables()
    make_silver(corner, table, "id, money, note, with_timezone(at, 'UTC') AS at", "t")
    corner.trino.query(
        f"CREATE TABLE {name}.rejected AS SELECT *, ARRAY['rule'] AS broken_rules"
        f" FROM {name}.t WHERE id % 10 = 0"
    )
    corner.trino.query(f"DELETE FROM {name}.t WHERE id % 10 = 0")
    return f"{name}.t"


def make_silver(corner: Any, table: str, columns: str, name: str) -> None:
    schema = corner.silver
    bucket = f"s3://silver/_tests/{corner.schema}/"
    corner.trino.query(f"CREATE SCHEMA IF NOT EXISTS {schema} WITH (location = '{bucket}')")
    corner.trino.query(
        f"CREATE TABLE {schema}.{name} AS SELECT {columns} FROM hive.{corner.schema}.{table}"
        " WHERE dt >= current_date - interval '1' day"
    )


def reconcile(corner: Any) -> TableResult:
    return reconcile_table(corner.settings, corner.tables.tables[-1])


def found(result: TableResult) -> list[tuple[str, str, str | None, str | None, str]]:
    assert not result.equal
    return [(d.key, d.column, d.source, d.silver, d.problem) for d in result.differences]


def test_equal_tables_are_equal(corner: Any, silver: str) -> None:
    result = reconcile(corner)
    assert result.equal
    assert (result.source_rows, result.silver_rows, result.differences) == (ROWS, ROWS, [])


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("UPDATE {} SET money = 42.26 WHERE id = 42", ("42", "money", "42.25", "42.26", "differs")),
        ("UPDATE {} SET note = '' WHERE id = 7", ("7", "note", None, "", "differs")),
        (
            "UPDATE {} SET at = timestamp '1970-01-01 00:00:00.000005 UTC' WHERE id = 8",
            ("8", "at", "4", "5", "differs"),
        ),
        ("DELETE FROM {} WHERE id = 9", ("9", "", None, None, "missing in silver")),
        (
            "INSERT INTO {} SELECT 9999, money, note, at FROM {} WHERE id = 1",
            ("9999", "", None, None, "not in the source"),
        ),
        (
            "INSERT INTO {} SELECT * FROM {} WHERE id = 1",
            ("1", "", None, None, "2 times in silver, 1 in the source"),
        ),
    ],
    ids=["value", "null", "microsecond", "missing", "extra", "twice"],
)
def test_one_change_is_found(
    corner: Any, silver: str, change: str, difference: tuple[Any, ...]
) -> None:
    corner.trino.query(change.format(silver, silver))
    assert found(reconcile(corner)) == [difference]


def test_two_rows_with_swapped_values_are_found(corner: Any, silver: str) -> None:
    corner.trino.query(
        f"UPDATE {silver} SET money = CASE id WHEN 1 THEN 2.25 ELSE 1.25 END WHERE id IN (1, 2)"
    )
    assert sorted(found(reconcile(corner))) == [
        ("1", "money", "1.25", "2.25", "differs"),
        ("2", "money", "2.25", "1.25", "differs"),
    ]


def test_two_columns_with_swapped_values_are_shown(corner: Any) -> None:
    """The sum over a row's columns would be the same."""
    s = corner.schema
    corner.sql(
        f"CREATE TABLE {s}.t (id integer PRIMARY KEY, a text, b text)",
        f"INSERT INTO {s}.t VALUES (1, 'one', 'two'), (2, 'three', 'three')",
    )
    table = corner.configure("t", reconcile={"silver": f"{corner.silver}.t"})
    corner.land()
    corner.ensure_tables()
    make_silver(corner, table, "id, b AS a, a AS b", "t")
    assert found(reconcile(corner)) == [
        ("1", "a", "one", "two", "differs"),
        ("1", "b", "two", "one", "differs"),
    ]


def test_a_row_that_is_missing_and_another_twice_are_found(corner: Any, silver: str) -> None:
    """The row counts are equal."""
    corner.trino.query(f"DELETE FROM {silver} WHERE id = 1")
    corner.trino.query(f"INSERT INTO {silver} SELECT * FROM {silver} WHERE id = 2")
    assert {problem for *_, problem in found(reconcile(corner))} == {
        "missing in silver",
        "2 times in silver, 1 in the source",
    }


def test_a_key_in_silver_and_in_rejected_is_named(corner: Any, silver: str) -> None:
    """A rejected row stands in silver for the one that is missing: the sums are equal."""
    rejected = f"{corner.silver}.rejected"
    corner.trino.query(f"INSERT INTO {silver} SELECT id, money, note, at FROM {rejected}")
    result = reconcile(corner)
    assert not result.equal
    assert result.in_both[:2] == ["10", "20"]


def run(corner: Any, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "ingestion", "reconcile"),
            *("--tables-file", str(corner.tables_file), *options),
        ],
        env=corner.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_exit_code_and_the_json_say_it(corner: Any, silver: str) -> None:
    same = run(corner)
    assert (same.returncode, same.stderr) == (0, "")
    assert "source and silver are equal" in same.stdout
    corner.trino.query(f"UPDATE {silver} SET money = 0 WHERE id = 42")
    different = run(corner, "--json")
    assert different.returncode == 1
    (report,) = json.loads(different.stdout)
    assert report["equal"] is False
    assert report["differences"][0]["key"] == "42"


def test_all_types_compare_at_their_limits(corner: Any) -> None:
    make_limits(corner)
    silver = f"{corner.silver}.limits"
    table = corner.configure("limits", reconcile={"silver": silver})
    corner.land()
    corner.ensure_tables()
    columns = [
        f"with_timezone({c}, 'UTC') AS {c}"
        if c in ("tz", "tz0")
        else f"CAST({c} AS integer) AS {c}"  # Iceberg has no smallint
        if c == "i2"
        else '"' + c.replace('"', '""') + '"'
        for c in corner.trino.columns(f"hive.{corner.schema}.{table}")
    ]
    make_silver(corner, table, ", ".join(columns), "limits")
    result = reconcile(corner)
    assert [c.column for c in result.columns if not c.equal] == []
    corner.trino.query(f"UPDATE {silver} SET f8 = -infinity() WHERE id > 0")
    assert [c.column for c in reconcile(corner).columns if not c.equal] == ["f8"]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ("money, note, at", "lacks the key's column 'id'"),
        (
            "id, CAST(money AS varchar) AS money, note, at",
            r"numeric\(12,2\) in the source but varchar in iceberg",
        ),
        ("id, CAST(money AS double) AS money, note, at", "money.* but double in iceberg.*other"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    corner: Any, silver: str, columns: str, complaint: str
) -> None:
    corner.trino.query(f"CREATE TABLE {corner.silver}.other AS SELECT {columns} FROM {silver}")
    entry = corner.entries.pop()
    corner.configure("t", reconcile={**entry["reconcile"], "silver": f"{corner.silver}.other"})
    with pytest.raises(IngestionError, match=complaint):
        reconcile(corner)


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ("id, CAST(money AS double) AS money, note, at", "'money' is numeric.* but double in {}"),
        ("id, CAST(money AS decimal(14,3)) AS money, note, at", r"decimal\(14,3\) in {} but decim"),
        ("id, money, note, CAST(at AS timestamp(6)) AS at", r"'at' is timestamp\(6\) in {} but"),
        ("id, money, at", "{} lacks the source's column 'note'"),
    ],
)
def test_rejected_columns_of_another_type_are_refused(
    corner: Any, silver: str, columns: str, complaint: str
) -> None:
    """Read together with silver's they would be converted, and differences with them."""
    name = f"{corner.silver}.other"
    corner.trino.query(f"CREATE TABLE {name} AS SELECT {columns} FROM {corner.silver}.rejected")
    corner.entries.pop()
    corner.configure("t", reconcile={"silver": silver, "rejected": name})
    with pytest.raises(IngestionError, match=complaint.format(name)):
        reconcile(corner)


def test_a_column_that_silver_lacks_is_named_and_the_others_are_compared(
    corner: Any, silver: str
) -> None:
    corner.sql(f"ALTER TABLE {corner.schema}.t ADD COLUMN branch text DEFAULT 'north'")
    result = reconcile(corner)
    assert (result.equal, result.not_compared) == (True, ("branch",))
    assert "columns not compared, because silver lacks them: branch" in run(corner).stdout
    corner.trino.query(f"UPDATE {silver} SET money = 0 WHERE id = 42")
    assert found(reconcile(corner)) == [("42", "money", "42.25", "0.00", "differs")]


def test_a_row_that_cannot_be_read_is_listed_and_not_judged(corner: Any, silver: str) -> None:
    corner.sql(
        f"UPDATE {corner.schema}.t SET money = 'NaN', at = 'infinity' WHERE id = 7",
        f"INSERT INTO {corner.schema}.t (id, at) VALUES (9999, '-infinity')",
    )
    name = f"{corner.silver}.unreadable_changes"
    table = corner.entries[-1]["name"]
    corner.trino.query(
        f"CREATE TABLE {name} AS SELECT '{table}' AS table_name, row_key"
        " FROM (VALUES varchar '7', '9999') AS stale (row_key)"
    )
    entry = corner.entries.pop()
    corner.configure("t", reconcile={**entry["reconcile"], "unreadable": name})
    result = reconcile(corner)
    assert (result.equal, result.stale) == (True, ("7", "9999"))
    told = run(corner)
    assert told.returncode == 0
    assert "2 rows, the first: 7, 9999" in " ".join(told.stdout.split())

    entry = corner.entries.pop()
    corner.configure("t", reconcile={**entry["reconcile"], "stale_keys": "error"})
    assert run(corner).returncode == 1
    # What differs for another reason is a difference.
    corner.trino.query(f"DELETE FROM {silver} WHERE id = 8")
    assert found(reconcile(corner)) == [("8", "", None, None, "missing in silver")]

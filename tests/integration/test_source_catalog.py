"""The analyst's view of the source: Trino's catalog `source` shows all of it, or says why not."""

import os
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Corner
from tests.integration.jdbc import Jdbc, RefusedError, connect


@pytest.fixture
def analyst() -> Iterator[Jdbc]:
    with connect("analyst") as connection:
        yield connection


@pytest.fixture
def source(corner: Corner) -> str:
    user = os.environ["SOURCE_ANALYST_USER"]
    corner.sql(
        f"GRANT USAGE ON SCHEMA {corner.schema} TO {user}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {corner.schema} GRANT SELECT ON TABLES TO {user}",
    )
    return f"source.{corner.schema}"


def test_every_column_is_shown(corner: Corner, source: str, analyst: Jdbc) -> None:
    corner.sql(
        "CREATE TABLE notes (id int PRIMARY KEY, score numeric, tags text[], ip inet, iv interval,"
        ' "Mixed" int, span int4range)',
        "INSERT INTO notes VALUES (1, 12345678901234567890.123456789, '{a,b}', '10.0.0.1',"
        " '1 day 02:00', 5, '[1,3)')",
    )
    [row] = analyst.query(f"select * from {source}.notes")
    assert row == {
        "id": "1",
        "score": "12345678901234567890.123456789",
        "tags": "[a, b]",
        "ip": "10.0.0.1",
        "iv": "1 day 02:00:00",
        "mixed": "5",
        "span": "[1,3)",
    }


def test_a_table_with_capital_letters_is_found(corner: Corner, source: str, analyst: Jdbc) -> None:
    corner.sql('CREATE TABLE "LoanDesk" (id int)', 'INSERT INTO "LoanDesk" VALUES (7)')
    assert analyst.query(f'select id from {source}."LoanDesk"') == [{"id": "7"}]


def test_hidden_rows_are_an_error_and_not_a_smaller_count(
    corner: Corner, source: str, analyst: Jdbc
) -> None:
    corner.sql(
        "CREATE TABLE things (id int PRIMARY KEY)",
        "INSERT INTO things VALUES (1)",
        "ALTER TABLE things ENABLE ROW LEVEL SECURITY",
    )
    with pytest.raises(RefusedError, match="row-level security"):
        analyst.query(f"select count(*) from {source}.things")


def test_a_row_with_an_infinite_time_can_be_read_by_postgresql_itself(
    corner: Corner, source: str, analyst: Jdbc
) -> None:
    """Trino has no infinity: docs/operations.md says what to do."""
    corner.sql(
        "CREATE TABLE things (id int PRIMARY KEY, at timestamptz)",
        "INSERT INTO things VALUES (1, 'infinity'), (2, '2026-01-02 03:04:05Z')",
    )
    with pytest.raises(RefusedError):
        analyst.query(f"select * from {source}.things")
    assert analyst.query(f"select id from {source}.things where at < now()") == [{"id": "2"}]
    inner = f"select id, nullif(at, ''infinity'') as at from {corner.schema}.things order by id"
    rows = analyst.query(f"select * from table(source.system.query(query => '{inner}'))")
    assert rows == [
        {"id": "1", "at": None},
        {"id": "2", "at": "2026-01-02 03:04:05.000000 UTC"},
    ]

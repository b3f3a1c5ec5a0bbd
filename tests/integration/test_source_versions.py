"""The source may be any PostgreSQL from 14 on, with its own rules of access."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingestion.errors import MissingError, ServiceError
from ingestion.postgres import connect_capture, connect_reader
from ingestion.settings import get_settings
from ingestion.stream.capture import capture, captured_tables, uncaptured
from ingestion.stream.slot import read_slot
from tests.integration.conftest import Corner, open_corner
from tests.older_postgres import older_postgres


@pytest.fixture(params=[14, 15, 16, 17], scope="module")
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with older_postgres(request.param, tmp_path_factory.mktemp("server")) as port:
        yield port


@pytest.fixture
def older(port: int, tmp_path: Path) -> Iterator[Corner]:
    settings = get_settings().model_copy(update={"postgres_port": port})
    with open_corner(settings, tmp_path) as corner:
        yield corner


def test_an_older_server_is_read_by_batch_and_captured(older: Corner) -> None:
    older.sql(
        "CREATE TABLE things (id int PRIMARY KEY, price numeric(6, 2), twice numeric"
        " GENERATED ALWAYS AS (price * 2) STORED)",
        "INSERT INTO things SELECT n, n + 0.25 FROM generate_series(1, 500) AS n",
    )
    older.configure("things")
    [manifest] = older.land()
    assert older.landed(manifest).num_rows == 500
    assert [done.action for done in capture(older.settings, older.tables, older.tables.tables)] == [
        "added"
    ]
    with closing(connect_reader(older.settings, "test")) as reader, reader.cursor() as cursor:
        publication = older.settings.stream_publication
        assert list(captured_tables(cursor, publication).values()) == [f"{older.schema}.things"]
        slot = read_slot(cursor, older.settings.stream_slot)
    assert (slot.is_lost, slot.invalidation_reason) == (False, None)


def test_a_time_limit_of_the_server_does_not_end_a_batch(corner: Corner) -> None:
    """PostgreSQL 17 and newer have one for transactions, which older ones do not know."""
    with closing(connect_reader(corner.settings, "test")) as reader, reader.cursor() as cursor:
        cursor.execute("SHOW transaction_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_table_that_took_anothers_name_is_named(corner: Corner) -> None:
    corner.sql("CREATE TABLE things (id int PRIMARY KEY)", "CREATE TABLE new (LIKE things)")
    corner.configure("things")
    tables = corner.tables
    publication = corner.settings.stream_publication
    list(capture(corner.settings, tables, tables.tables))
    corner.sql(
        "ALTER TABLE new ADD PRIMARY KEY (id)",
        "ALTER TABLE things RENAME TO old",
        "ALTER TABLE new RENAME TO things",
    )
    with closing(connect_reader(corner.settings, "test")) as reader, reader.cursor() as cursor:
        assert uncaptured(cursor, publication, tables.tables) == (f"{corner.schema}.things",)
    assert [
        (done.table, done.action) for done in capture(corner.settings, tables, tables.tables)
    ] == [
        (f"{corner.schema}.things", "added"),
        (f"{corner.schema}.old", "dropped"),
    ]


def test_row_level_security_is_named_with_its_remedy(corner: Corner) -> None:
    corner.sql(
        "CREATE TABLE things (id int PRIMARY KEY)",
        "INSERT INTO things VALUES (1)",
        "ALTER TABLE things ENABLE ROW LEVEL SECURITY",
    )
    corner.configure("things")
    with pytest.raises(MissingError, match="row-level security") as caught:
        corner.land()
    assert f'ALTER ROLE "{corner.settings.source_reader_user}" BYPASSRLS' in caught.value.hint


def test_a_server_that_refuses_tls_is_named(corner: Corner) -> None:
    settings = corner.settings.model_copy(update={"pgsslmode": "require"})
    with pytest.raises(ServiceError, match="SSL") as caught:
        connect_capture(settings, "test")
    assert "PGSSLMODE" in caught.value.hint

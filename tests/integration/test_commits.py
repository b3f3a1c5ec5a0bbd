"""Commits to one Iceberg table at the same time: none is lost, and none leaves a lock."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest
import trino

from tests.stack import query_trino

TABLE = "iceberg.silver.commits"
WRITERS, COMMITS = 4, 8


@pytest.fixture
def table(stack: dict[str, str]) -> Iterator[str]:
    query_trino(stack, f"create table {TABLE} (writer int, number int)")
    yield TABLE
    query_trino(stack, f"drop table {TABLE}")


def test_every_commit_that_succeeded_is_there(stack: dict[str, str], table: str) -> None:
    """Trino retries a commit that meets another one; one that it reports as failed is not there."""

    def write(writer: int) -> list[tuple[int, int]]:
        done = []
        for number in range(COMMITS):
            try:
                query_trino(stack, f"insert into {table} values ({writer}, {number})")
            except trino.exceptions.TrinoExternalError as error:
                assert error.error_name == "ICEBERG_COMMIT_ERROR"
            else:
                done.append((writer, number))
        return done

    with ThreadPoolExecutor(WRITERS) as pool:
        succeeded = [row for rows in pool.map(write, range(WRITERS)) for row in rows]
    assert len(succeeded) >= COMMITS
    found = [tuple(row) for row in query_trino(stack, f"select writer, number from {table}")]
    assert sorted(found) == sorted(succeeded)


def test_a_commit_takes_no_lock_that_could_outlive_it(stack: dict[str, str], table: str) -> None:
    """With locks, this row would be that of a Trino that was killed: the insert would wait."""
    with (
        closing(
            psycopg2.connect(
                host=stack["POSTGRES_HOST"],
                port=stack["POSTGRES_PORT"],
                dbname=stack["METASTORE_DB"],
                user=stack["METASTORE_DB_USER"],
                password=stack["METASTORE_DB_PASSWORD"],
            )
        ) as metastore,
        metastore,
        metastore.cursor() as cursor,
    ):
        schema, name = table.split(".")[1:]
        cursor.execute(
            'INSERT INTO "HIVE_LOCKS" ("HL_LOCK_EXT_ID", "HL_LOCK_INT_ID", "HL_TXNID", "HL_DB",'
            ' "HL_TABLE", "HL_LOCK_STATE", "HL_LOCK_TYPE", "HL_LAST_HEARTBEAT", "HL_USER",'
            " \"HL_HOST\") VALUES (999999, 1, 0, %s, %s, 'a', 'e', 0, 'killed', 'killed')",
            (schema, name),
        )
        metastore.commit()
        try:
            query_trino(stack, f"insert into {table} values (1, 1)")
        finally:
            cursor.execute('DELETE FROM "HIVE_LOCKS" WHERE "HL_LOCK_EXT_ID" = 999999')
    assert query_trino(stack, f"select count(*) from {table}") == [[1]]

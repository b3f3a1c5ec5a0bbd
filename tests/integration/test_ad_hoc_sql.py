"""An analyst's SQL by Trino's JDBC driver: the samples work, forbidden statements are refused."""

import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
import sqlparse

from infra.dbeaver.__main__ import QUERIES
from ingestion.postgres import connect_owner
from ingestion.settings import get_settings
from tests.integration.jdbc import Jdbc, RefusedError, connect
from tests.integration.small_lake import IMAGE, SmallLake

Rows = list[dict[str, str | None]]

# The stream's changes since the run.
AFTER = IMAGE | {
    "application_id": 5,
    "credit_score": 805,
    "updated_at": "2026-01-03T00:00:00.000000Z",
}


@pytest.fixture(scope="module")
def lake(lake_to_read: SmallLake) -> Iterator[SmallLake]:
    lake_to_read.land_change(5, "u", 100, json.dumps(AFTER))
    yield lake_to_read
    lake_to_read.query(f"delete from {lake_to_read.bronze}.loan_applications_changes")


@pytest.fixture
def analyst() -> Iterator[Jdbc]:
    with connect("analyst") as connection:
        yield connection


@pytest.fixture(scope="module")
def source() -> Iterator[str]:
    """The source's table, as it is now: 2 has changed since gold was made, 9 is new."""
    schema, user = f"test_{uuid.uuid4().hex[:10]}", os.environ["SOURCE_ANALYST_USER"]
    with closing(connect_owner(get_settings(), "test")) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(
            f"""
            CREATE SCHEMA {schema};
            CREATE TABLE {schema}.loan_applications (application_id bigint, updated_at timestamptz);
            INSERT INTO {schema}.loan_applications
            SELECT id, CASE WHEN id IN (2, 9) THEN now() ELSE '2024-01-01' END
            FROM unnest(ARRAY[1, 2, 3, 5, 9]) AS id;
            GRANT USAGE ON SCHEMA {schema} TO {user};
            GRANT SELECT ON {schema}.loan_applications TO {user}
            """
        )
        yield f"source.{schema}"
        cursor.execute(f"DROP SCHEMA {schema} CASCADE")


def statements(text: str) -> list[str]:
    return [one.strip().rstrip(";") for one in sqlparse.split(text)]


def fill(statement: str, above: Rows) -> str:
    """Give a statement what DBeaver would ask for: as in the first row above that has it."""

    def value(name: re.Match[str]) -> str:
        if name[1] == "moment":
            return "'2026-01-02 12:00:00 UTC'"
        found = next(str(row[name[1]]) for row in above if name[1] in row)
        return found if found.isdigit() else f"'{found}'"

    return re.sub(r"(?<=\s):(\w+)", value, sqlparse.format(statement, strip_comments=True))


# What each script answers over the small lake: these, in this order, among its rows.
ANSWERS: dict[str, Rows] = {
    "01_count_and_look.sql": [
        {"Table": "loan_features"},
        {"applications": "4"},
        {"loan_purpose": "PERSONAL", "applications": "4", "average_rate_percent": "16.02"},
    ],
    "02_create_a_schema.sql": [{"Schema": "sandbox"}, {"Schema": "sandbox_credit"}],
    "03_create_a_table.sql": [{"loan_purpose": "PERSONAL", "large_loans": "4"}],
    "04_test_a_table.sql": [{"failures": "0"}] * 4,
    "05_file_counts.sql": [{"content": "0", "files": "1", "rows_in_them": "4"}],
    "06_time_travel.sql": [
        {"loans_now": "3"},
        {"loans_in_that_snapshot": "4"},
        {"loans_at_that_time": "4"},
        {"snapshots": "1"},
    ],
    "07_history.sql": [{"held_by_the_source": "5", "known_to_us": "3"}],
    "08_live_view.sql": [{"since_the_last_run": "changed", "applications": "1"}],
    "09_source_and_gold.sql": [
        {"in_the_source": "5", "in_gold": "4", "changed_since": "1", "not_in_gold": "1"}
    ],
    "10_clean_up.sql": [{"Schema": "sandbox"}],
}


def test_every_sample_query_answers(lake: SmallLake, source: str, analyst: Jdbc) -> None:
    scripts = sorted(QUERIES.glob("*.sql"))
    assert [script.name for script in scripts] == list(ANSWERS)
    for script in scripts:
        text = re.sub(
            r"\b(?<!distinct )(from|join) (silver|gold)\b",
            rf"\1 {lake.prefix}\2",
            script.read_text(),
        )
        answers: Rows = []
        for statement in statements(text.replace("source.public.", f"{source}.")):
            answers += analyst.query(fill(statement, answers))
        rest = iter(answers)
        for wanted in ANSWERS[script.name]:
            assert any(wanted.items() <= row.items() for row in rest), (script.name, answers)
    assert answers == [{"Schema": "sandbox"}]  # the last one has cleaned up


def test_an_analyst_sees_what_is_his_to_see(lake: SmallLake, analyst: Jdbc) -> None:
    def names(sql: str) -> set[str | None]:
        return {value for row in analyst.query(sql) for value in row.values()}

    assert names("show catalogs") == {"iceberg", "source", "system"}
    schemas = names("show schemas from iceberg") | {"information_schema"}
    assert {"silver", "gold", "sandbox", f"{lake.prefix}silver", f"{lake.prefix}gold"} <= schemas
    assert not schemas & {"bronze", "feast", f"{lake.prefix}bronze"}
    assert names("select table_schema from information_schema.columns") <= schemas
    # What a client's tree of tables is made from.
    tables = "select table_schem from system.jdbc.tables where table_cat = 'iceberg'"
    assert names(tables) <= schemas
    assert names(f"explain select * from {lake.silver}.loan_applications_live")


# Each is refused, whether or not what it names is there.
REFUSED = [
    ("insert into {gold}.loan_features (application_id) values (1)", "Cannot insert into table"),
    ("update {gold}.loan_features set loan_amount = 0", "Cannot update columns"),
    ("delete from {gold}.loan_features", "Cannot delete from table"),
    ("truncate table {gold}.loan_features", "Cannot truncate table"),
    ("drop table {gold}.loan_features", "Cannot drop table"),
    ("drop view {silver}.loan_applications", "Cannot drop view"),
    ("drop schema {gold} cascade", "Cannot drop schema"),
    ("create table {gold}.mine (id bigint)", "Cannot create table"),
    ("create or replace table {gold}.loan_features as select 1 as id", "Cannot create table"),
    ("create table {silver}.mine as select 1 as id", "Cannot create table"),
    ("create or replace view {silver}.loan_applications as select 1 as id", "Cannot create view"),
    ("create schema iceberg.mine", "Cannot create schema"),
    ("alter table {gold}.loan_features rename to iceberg.sandbox.mine", "Cannot rename table"),
    ("alter table {gold}.loan_features add column mine bigint", "Cannot add a column"),
    ("alter table {gold}.loan_features set properties format = 'ORC'", "Cannot set table"),
    ("alter table {gold}.loan_features execute optimize", "ALTER TABLE EXECUTE is not supported"),
    (
        "alter table {gold}.loan_features execute expire_snapshots(retention_threshold => '7d')",
        "ALTER TABLE EXECUTE is not supported",
    ),
    (
        "alter table {gold}.loan_features execute rollback_to_snapshot(1)",
        "ALTER TABLE EXECUTE is not supported",
    ),
    ("comment on table {gold}.loan_features is 'mine'", "Cannot comment table"),
    ("analyze {gold}.loan_features", "Cannot"),
    ("grant select on {gold}.loan_features to user other", "Cannot grant"),
    ("call iceberg.system.rollback_to_snapshot('gold', 'x', 1)", "Cannot execute procedure"),
    ("call iceberg.system.unregister_table('gold', 'x')", "Cannot execute procedure"),
    ("call system.runtime.kill_query('x', 'y')", "Cannot execute procedure"),
    ("select * from hive.information_schema.tables", "Cannot access catalog hive"),
    ("show tables from hive.bronze", "Cannot access catalog hive"),
    ("select * from {bronze}.loan_applications", "Cannot select from"),
    ("show tables from iceberg.feast", "Cannot show tables"),
    ("create table iceberg.feast.x (id bigint)", "Cannot create table"),
    ("create view iceberg.sandbox.x as select * from {bronze}.loan_applications", "Cannot select"),
    ("delete from {source}.loan_applications", "Cannot delete from table"),
    ("insert into {source}.loan_applications values (1, now())", "Cannot insert into table"),
    (
        "select * from table(source.system.query('select * from debezium.heartbeat'))",
        "permission denied",
    ),
    ("call source.system.execute('drop table x')", "Cannot execute procedure"),
    ("set role admin", "admin"),
    ("set session authorization admin", "cannot impersonate user admin"),
]


def test_an_analyst_is_refused(lake: SmallLake, source: str, analyst: Jdbc) -> None:
    places = {"silver": lake.silver, "gold": lake.gold, "bronze": lake.bronze, "source": source}
    snapshots = f'select snapshot_id from {lake.gold}."loan_features$snapshots"'
    before = lake.query(snapshots)
    answers = []
    for statement, message in REFUSED:
        try:
            analyst.query(statement.format(**places))
            answers.append((statement, "done"))
        except RefusedError as error:
            if message not in str(error):
                answers.append((statement, str(error)))
    assert answers == []
    assert lake.query(snapshots) == before


# Planned only, so that nothing is done; who may do it is checked all the same.
ACTIONS = {
    "makes bronze": "create table hive.bronze._probe as select 1 as id",
    "reads silver": "select * from {silver}.loan_applications",
    "reads gold": "select * from {gold}.loan_features",
    "reads the source": "select * from {source}.loan_applications",
    "makes silver": "create table {silver}._probe as select 1 as id",
    "makes gold": "create table {gold}._probe as select 1 as id",
    "makes Feast's": "create table iceberg.feast._probe as select 1 as id",
    "makes sandbox": "create table iceberg.sandbox._probe as select 1 as id",
}
ALLOWED = {
    "admin": set(ACTIONS),
    "setup": set(),
    "ingestion": {"makes bronze", "reads silver"},
    "dbt": {"reads silver", "reads gold", "makes silver", "makes gold", "reads the source"},
    "feast": {"reads gold", "makes Feast's"},
    "demo": {"reads silver", "reads gold"},
    "bench": set(),
    "analyst": {"reads silver", "reads gold", "reads the source", "makes sandbox"},
    "stranger": set(),
}


@pytest.mark.parametrize("user", ALLOWED)
def test_each_user_may_do_its_work_and_no_more(lake: SmallLake, source: str, user: str) -> None:
    places = {"silver": lake.silver, "gold": lake.gold, "source": source}
    done = set()
    with connect(user) as connection:
        for name, statement in ACTIONS.items():
            try:
                connection.query(f"explain {statement.format(**places)}")
                done.add(name)
            except RefusedError as error:
                assert "Access Denied" in str(error)
    assert done == ALLOWED[user]

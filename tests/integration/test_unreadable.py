"""A row that cannot be read keeps its last readable version, and stops no other row."""

from collections.abc import Iterator
from typing import Any

import pytest

from ingestion.postgres import connect_owner
from ingestion.reconcile.run import reconcile_table
from ingestion.settings import get_settings
from ingestion.tables import Reconcile, Table
from tests.integration.shown_lake import TABLE, Landed, ShownLake, shown_lake
from tests.stack import ingest

pytestmark = pytest.mark.slow

# Each statement is a transaction; the rows 1 to 5 cannot be read after them.
SPOILED = (
    "update loan_applications set updated_at = 'infinity' where application_id = 1",
    "update loan_applications set person_income = 'NaN' where application_id = 2",
    "update loan_applications set updated_at = '15000-01-01Z' where application_id = 3",
    "update loan_applications set created_at = '0044-03-15Z BC' where application_id = 4",
    # Over 2 kB and incompressible: stored out of line, and not sent when it does not change.
    "update loan_applications set loan_intent = (select string_agg(md5(n::text), '')"
    " from generate_series(1, 200) as n) where application_id = 5",
    "update loan_applications set credit_score = 555 where application_id = 5",
    "update loan_applications set credit_score = 666 where application_id = 6",
    # It can be read; no version began in 2099, nor do those that follow.
    "update loan_applications set updated_at = '2099-01-01Z' where application_id = 7",
)
CORRECTED = (
    "update loan_applications set updated_at = '2024-01-01Z', created_at = '2024-01-01Z',"
    " person_income = 60000, loan_intent = 'PERSONAL', credit_score = 444"
    " where application_id <= 5",
    "update loan_applications set credit_score = 777 where application_id = 7",
)
COLUMNS = {1: "updated_at", 2: "person_income", 3: "updated_at", 4: "created_at"}


def write(*statements: str) -> None:
    connection = connect_owner(get_settings(), "test")
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


class Scene:
    """What landed at the start, once rows were spoiled, and once they were corrected."""

    def __init__(self) -> None:
        ingest("source", "generate", "--rows", "0")
        ingest("stream", "capture")
        ingest("bronze-tables")
        self.landed = Landed()
        self._shown = set(self.landed.earlier)
        ingest("source", "generate", "--rows", "20")
        self.start = self._next()
        write(*SPOILED)
        self.spoiled = self._next()
        write(*CORRECTED)
        self.corrected = self._next()

    def _next(self) -> tuple[list[str], list[str]]:
        """The keys of a full snapshot, and of the changes since the last call."""
        self.landed.snapshot("full")
        ingest("stream", "wait")
        self.landed.find_changes()
        changes = [key for [key] in self.landed.changes if key not in self._shown]
        self._shown.update(changes)
        return self.landed.snapshots[-1], changes


@pytest.fixture(scope="module")
def scene(stack: dict[str, str]) -> Scene:
    return Scene()


@pytest.fixture
def lake(scene: Scene) -> Iterator[ShownLake]:
    with shown_lake() as made:
        made.show([*scene.landed.earlier, *scene.start[0], *scene.start[1]])
        made.run()
        yield made


def scores(lake: ShownLake, table: str = TABLE) -> dict[int, int]:
    names = {table, f"rejected_{TABLE}"} if table == TABLE else {table}
    rows = []
    for name in names:
        rows += lake.query(f"select application_id, credit_score from {lake.silver}.{name}")
    return {int(key): int(score) for key, score in rows}


def unreadable(lake: ShownLake) -> dict[int, tuple[str, str]]:
    rows = lake.query(f"select row_key, column_name, reason from {lake.silver}.unreadable_changes")
    return {int(key): (column, reason) for key, column, reason in rows}


def begins(lake: ShownLake, key: int) -> list[bool]:
    """Of each version, in order, whether it began in the past."""
    rows = lake.query(
        f"select valid_from < current_timestamp from {lake.silver}.loan_application_history"
        f" where application_id = {key} order by version_number"
    )
    return [began for (began,) in rows]


def reconcile(lake: ShownLake) -> Any:
    names = Reconcile(
        silver=f"{lake.silver}.{TABLE}",
        rejected=f"{lake.silver}.rejected_{TABLE}",
        unreadable=f"{lake.silver}.unreadable_changes",
    )
    table = Table(name=TABLE, source=f"public.{TABLE}", key=("application_id",), reconcile=names)
    return reconcile_table(get_settings(), table)


def test_changes_that_cannot_be_read(scene: Scene, lake: ShownLake) -> None:
    before = scores(lake)
    expected = before | {6: 666}
    lake.show(scene.spoiled[1])
    live = scores(lake, f"{TABLE}_live")
    assert {key: expected[key] for key in live} == live
    assert {1, 2, 3, 4, 6} <= live.keys()
    lake.run()
    assert scores(lake) == expected
    found = unreadable(lake)
    assert {key: column for key, (column, _) in found.items()} == COLUMNS | {5: "loan_intent"}
    assert found[2][1] == 'does not fit decimal(12, 2): "NAN"'
    assert "REPLICA IDENTITY FULL" in found[5][1]
    told = lake.dbt("test", "--select", "unreadable_changes")
    assert (told.returncode, "WARN 5 all_changes_can_be_read" in told.stdout) == (0, True)
    strict = lake.dbt("test", "--select", "unreadable_changes", unreadable_changes_severity="error")
    assert strict.returncode == 1

    lake.show(scene.corrected[1])
    lake.run()
    assert scores(lake) == expected | dict.fromkeys(range(1, 6), 444) | {7: 777}
    assert unreadable(lake) == {}
    assert reconcile(lake).equal


def test_batch_rows_that_cannot_be_read(scene: Scene, lake: ShownLake) -> None:
    # The long value of 5 is in the snapshot.
    expected = scores(lake) | {5: 555, 6: 666}
    # More than one, where the stream has landed changes of this key before.
    at_the_start = begins(lake, 7)
    lake.show(scene.spoiled[0])
    lake.run()
    assert scores(lake) == expected
    found = unreadable(lake)
    assert {key: column for key, (column, _) in found.items()} == COLUMNS
    assert found[1][1] == "does not fit timestamp(6) with time zone: infinity"
    assert found[2][1] == "does not fit decimal(12, 2): NaN"

    lake.show(scene.corrected[0])
    lake.run()
    assert scores(lake) == expected | dict.fromkeys(range(1, 6), 444) | {7: 777}
    assert unreadable(lake) == {}
    assert reconcile(lake).equal
    # The version that calls itself of 2099, and the one after it.
    assert begins(lake, 7) == [*at_the_start, True, True]
    assert all(at_the_start)


def test_a_full_refresh_finds_the_last_readable_versions(scene: Scene, lake: ShownLake) -> None:
    lake.show(scene.spoiled[0])
    lake.run()
    before = (scores(lake), unreadable(lake))
    assert before[1].keys() == COLUMNS.keys()
    again = lake.dbt("run", "--full-refresh", "--select", "+silver")
    assert again.returncode == 0, again.stdout
    assert (scores(lake), unreadable(lake)) == before


def test_what_one_path_could_not_read_the_other_clears(scene: Scene, lake: ShownLake) -> None:
    expected = scores(lake)
    lake.show([*scene.spoiled[0], *scene.spoiled[1]])
    lake.run()
    assert scores(lake) == expected | {5: 555, 6: 666}
    assert unreadable(lake).keys() == COLUMNS.keys()
    lake.show(scene.corrected[0])
    lake.run()
    assert unreadable(lake) == {}
    lake.show(scene.corrected[1])
    lake.run()
    assert unreadable(lake) == {}
    result = reconcile(lake)
    assert (result.equal, result.stale) == (True, ())

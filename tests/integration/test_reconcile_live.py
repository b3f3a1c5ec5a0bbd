"""While the source is written to, what waits to be folded in is no difference, and all else is."""

from collections.abc import Iterator

import pytest

from ingestion.errors import DataError
from ingestion.postgres import connect_owner
from ingestion.reconcile.run import TableResult, reconcile_table
from ingestion.settings import get_settings
from ingestion.tables import Reconcile, Table
from tests.integration.shown_lake import TABLE, Landed, ShownLake, shown_lake
from tests.stack import ingest

pytestmark = pytest.mark.slow

CHANGED = "update loan_applications set loan_amnt = loan_amnt + 1, updated_at = now()"


def change(sql: str, landed: Landed, made: ShownLake) -> None:
    """Change the source, and show the lake what lands of it."""
    connection = connect_owner(get_settings(), "test")
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
    connection.close()
    ingest("stream", "wait")
    landed.find_changes()
    made.show([key for item in landed.changes for key in item])


def live(made: ShownLake) -> TableResult:
    names = Reconcile(
        silver=f"{made.silver}.{TABLE}",
        rejected=f"{made.silver}.rejected_{TABLE}",
        progress=f"{made.silver}.int_{TABLE}__progress",
    )
    table = Table(name=TABLE, source=f"public.{TABLE}", key=("application_id",), reconcile=names)
    return reconcile_table(get_settings(), table, 10, f"{made.bronze}.{TABLE}_changes")


@pytest.fixture
def folded() -> Iterator[tuple[Landed, ShownLake]]:
    """A lake that is the source's equal."""
    ingest("source", "generate", "--rows", "0")
    ingest("stream", "capture")
    ingest("bronze-tables")
    landed = Landed()
    ingest("source", "generate", "--rows", "100")
    with shown_lake() as made:
        made.show(landed.earlier)
        change("select 1", landed, made)
        made.run()
        assert live(made).equal
        yield landed, made


def test_only_what_waits_is_left_out(folded: tuple[Landed, ShownLake]) -> None:
    landed, made = folded
    change(f"{CHANGED} where application_id <= 5", landed, made)
    change("delete from loan_applications where application_id = 6", landed, made)
    result = live(made)
    assert (result.equal, result.left_out) == (True, 6)

    # One that silver has wrong though nothing waits for it is found among them ...
    made.query(f"delete from {made.silver}.int_{TABLE}__state where application_id = 50")
    result = live(made)
    assert not result.equal
    assert [(d.key, d.problem) for d in result.differences] == [("50", "missing in silver")]
    # ... and with the sums as they are, nothing is known before a TRUNCATE is folded in.
    change("truncate loan_applications", landed, made)
    with pytest.raises(DataError, match="a TRUNCATE of the source is not in silver yet"):
        live(made)

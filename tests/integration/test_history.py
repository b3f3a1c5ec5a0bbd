"""What silver's history says was true on a date was true in the source on that date.

The source keeps a log of its own, by a trigger: each change of a row, its transaction,
and, from PostgreSQL, when that was committed. The simulator's loan desk works; what
the log says of a moment, the history must say.
"""

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest

from ingestion.postgres import connect_owner
from ingestion.settings import Settings, get_settings
from tests.integration.shown_lake import Landed, ShownLake, shown_lake
from tests.stack import ingest

ROWS = 300
CHANGES = 3_000
MOMENTS = 25
COLUMNS = (
    "application_id, person_age, person_gender, person_education, person_income,"
    " person_emp_exp, person_home_ownership, loan_amnt, loan_intent, loan_int_rate,"
    " loan_percent_income, cb_person_cred_hist_length, credit_score,"
    " previous_loan_defaults_on_file, loan_status, created_at, updated_at"
)
LOG = """
create schema test_history
create table changes (
    number bigint generated always as identity,
    transaction xid8 not null default pg_current_xact_id(),
    application_id bigint not null,
    row_after public.loan_applications
);
create function test_history.write() returns trigger language plpgsql security definer as $$
begin
    if tg_op = 'DELETE' or (tg_op = 'UPDATE' and new.application_id <> old.application_id) then
        insert into test_history.changes (application_id) values (old.application_id);
    end if;
    if tg_op <> 'DELETE' then
        insert into test_history.changes (application_id, row_after)
        values (new.application_id, new);
    end if;
    return null;
end $$;
create trigger test_history after insert or update or delete on public.loan_applications
for each row execute function test_history.write()
"""
AS_OF_IN_SOURCE = f"""
select {COLUMNS} from (
    -- By the change's own number: a deleted application has none after it.
    select distinct on (changes.application_id) (row_after).*
    from (
        select *, pg_xact_commit_timestamp(transaction::xid) as committed_at
        from test_history.changes
    ) as changes
    where committed_at <= %s
    order by changes.application_id, committed_at desc, number desc
) as newest
where application_id is not null order by application_id
"""
AS_OF_IN_SILVER = f"""
select {COLUMNS} from {{silver}}.loan_application_history
where
    valid_from <= timestamp '{{moment}}'
    and (valid_to is null or valid_to > timestamp '{{moment}}')
order by application_id
"""


class SourceLog:
    """What the source itself says of its past."""

    def __init__(self, settings: Settings) -> None:
        self._connection = connect_owner(settings, "test")
        self._connection.autocommit = True

    def ask(self, sql: str, *values: Any) -> list[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self._connection.close()

    def moments(self, dice: random.Random) -> list[datetime]:
        """Commits, and moments just before them: there the answer changes."""
        times = self.ask(
            "select distinct pg_xact_commit_timestamp(transaction::xid), "
            "pg_xact_commit_timestamp(transaction::xid) - interval '1 microsecond'"
            " from test_history.changes"
        )
        return dice.sample([time for pair in times for time in pair], MOMENTS)


@pytest.fixture
def source_log(stack: dict[str, str]) -> Iterator[SourceLog]:
    ingest("source", "generate", "--rows", "0")
    ingest("stream", "capture")
    ingest("bronze-tables")
    with closing(SourceLog(get_settings())) as log:
        log.ask(LOG)
        yield log
        log.ask("drop schema test_history cascade")


def build(made: ShownLake, keys: list[list[str]], dice: random.Random) -> None:
    """Fold in what landed in two runs, the later half of it first."""
    cut = dice.randrange(1, len(keys))
    for portion in (keys[cut:], keys[:cut]):
        made.show([key for item in portion for key in item])
        made.run()


@pytest.mark.slow
def test_history_has_the_validity_of_each_version(source_log: SourceLog) -> None:
    seed = random.randrange(2**16)
    print(f"seed {seed}")
    dice = random.Random(seed)
    landed = Landed()
    ingest("source", "generate", "--rows", str(ROWS))
    ingest("source", "simulate", "--rate", "500", "--changes", str(CHANGES), "--seed", str(seed))
    ingest("stream", "wait")
    landed.find_changes()
    moments = source_log.moments(dice)

    with shown_lake() as made:
        made.show(landed.earlier)
        build(made, landed.changes, dice)
        for moment in moments:
            time = f"{moment:%Y-%m-%d %H:%M:%S.%f} UTC"
            rows = made.query(AS_OF_IN_SILVER.format(silver=made.silver, moment=time))
            assert [tuple(row) for row in rows] == source_log.ask(AS_OF_IN_SOURCE, moment)
    assert len(source_log.ask(AS_OF_IN_SOURCE, max(moments))) > ROWS / 2


@pytest.mark.slow
def test_rows_that_come_back_as_they_were_are_new_versions(source_log: SourceLog) -> None:
    """A reload of the same rows, which lands by stream and batch between two runs."""
    landed = Landed()
    ingest("source", "generate", "--rows", "40")
    landed.snapshot("full")
    ingest("source", "generate", "--rows", "40")
    landed.snapshot("full")
    ingest("stream", "wait")
    landed.find_changes()
    first, second = landed.snapshots
    with shown_lake() as made:
        made.show([*landed.earlier, *first])
        made.run()
        made.show([*second, *(key for item in landed.changes for key in item)])
        made.run()
        checked = made.dbt("test", "--select", "assert_history_ends_in_the_state")
        assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
@pytest.mark.parametrize("first_run", ["+silver", "+int_loan_applications__state"])
def test_batches_alone_give_the_same_history_at_once_and_one_by_one(
    source_log: SourceLog, first_run: str
) -> None:
    """Two builds between batches, or one that ended early, keep what a full refresh finds."""
    landed = Landed()
    ingest("source", "generate", "--rows", "40")
    landed.snapshot("full")
    source_log.ask("update loan_applications set credit_score = 777 where application_id = 7")
    source_log.ask("delete from loan_applications where application_id = 8")
    landed.snapshot("full")
    with shown_lake() as made:
        for keys, selection in zip(landed.snapshots, (first_run, "+silver"), strict=True):
            made.show(keys)
            made.make_tables("--select", selection)
        history = (
            "select application_id, version_number, credit_score, valid_from, valid_to, _known_at"
            f" from {made.silver}.loan_application_history order by 1, 2"
        )
        rows = made.query(history)
        versions = {key: [row[1] for row in rows if row[0] == key] for key in (6, 7, 8)}
        assert versions == {6: [1], 7: [1, 2], 8: [1]}
        assert [row[2] for row in rows if row[0] == 7][1] == 777
        assert [row[4] is None for row in rows if row[0] in (7, 8)] == [False, True, False]
        made.make_tables("--select", "+silver", "--full-refresh")
        assert made.query(history) == rows

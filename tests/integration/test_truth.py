"""Silver equals the source, by each path of the data and in any order of landing.

Six sessions write at random while batch snapshots are taken at random moments, and
Debezium and the consumers land the stream. What landed is then shown to three lakes, to
one the snapshots alone, to one the stream alone, to one both, a random part at a time in
random order, with dbt runs in between, of which some end early and two begin at once. In
the end each must equal the source, and what a full refresh makes of the same bronze.

TRUTH_EXAMPLES=10 tries as many workloads; the seed that hypothesis prints repeats one
as far as concurrency can be repeated.
"""

import os
import random
import time
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.integration.shown_lake import Landed, ShownLake, shown_lake
from tests.integration.workload import writers
from tests.stack import ingest

pytestmark = pytest.mark.slow

# What follows from bronze alone, row by row.
SILVER = ("loan_application_history", "loan_applications", "rejected_loan_applications")
# In the order in which a run builds them.
FOLD = ("landed", "claims", "versions", "state", "unreadable")
EXAMPLES = int(os.environ.get("TRUTH_EXAMPLES") or 1)
SECONDS = 8


def work(seed: int) -> Landed:
    """Let the writers write, take snapshots in parallel, and return when all has landed."""
    dice = random.Random(seed)
    ingest("source", "generate", "--rows", "0")  # a TRUNCATE: what was before is gone
    landed = Landed()
    with writers(landed.settings, seed):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            landed.snapshot(dice.choice(("full", "incremental")))
            time.sleep(dice.uniform(0.1, 1.5))
    ingest("stream", "wait")
    landed.find_changes()
    return landed


def portions(dice: random.Random, items: list[list[str]], count: int) -> list[list[str]]:
    """The items in random order, cut at random into `count` lists of keys."""
    items = dice.sample(items, len(items))
    cuts = sorted(dice.sample(range(1, len(items)), count - 1))
    return [
        [key for item in items[start:end] for key in item]
        for start, end in zip([0, *cuts], [*cuts, len(items)], strict=True)
    ]


def run_in_part(made: ShownLake, dice: random.Random) -> None:
    """A run that ends between two models of the fold."""
    made.make_tables("--select", f"+int_loan_applications__{dice.choice(FOLD)}")


def contents(made: ShownLake) -> dict[str, list[list[Any]]]:
    tables = [f"{made.silver}.{name}" for name in (*SILVER, "int_loan_applications__state")]
    tables.append(f"{made.gold}.historical_features")
    made.make_tables("--select", "historical_features")
    return {table: sorted(made.query(f"select * from {table}"), key=repr) for table in tables}


def assert_follows_from_bronze(made: ShownLake) -> None:
    """However it came about, a full refresh changes no row."""
    before = contents(made)
    made.make_tables("--select", "+silver", "--full-refresh")
    for table, rows in contents(made).items():
        assert before[table] == rows, table


@pytest.fixture(scope="module")
def captured(stack: dict[str, str]) -> None:
    """The source's table is there and its changes are captured."""
    ingest("source", "generate", "--rows", "0")
    ingest("stream", "capture")
    ingest("bronze-tables")
    ingest("stream", "wait")  # tests before this one may have killed Debezium's database


# Not shrunk: an example takes minutes, and a smaller seed is not a smaller workload.
@settings(max_examples=EXAMPLES, print_blob=True, phases=[Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 2**16))
def test_silver_equals_the_source_by_every_path(captured: None, seed: int) -> None:
    dice = random.Random(seed)
    landed = work(seed)
    snapshots, changes = list(landed.snapshots), landed.changes
    assert len(changes) > 4
    landed.snapshot("full")
    with shown_lake() as batch:
        # A batch knows what is there when it is taken: only the last says how it ended.
        for keys in portions(dice, landed.snapshots, 2):
            batch.show(keys)
            run_in_part(batch, dice)
            batch.run()
        assert batch.differences("loan_applications") == []
        assert_follows_from_bronze(batch)
    with shown_lake() as stream:
        first, second, third = portions(dice, changes, 3)
        stream.show([*landed.earlier, *first])
        stream.run()
        stream.show(third)
        stream.run_twice_at_once()
        stream.show([*second, *first])
        assert stream.differences("loan_applications_live", rejected=False) == []
        stream.run()
        assert stream.differences("loan_applications") == []
        assert_follows_from_bronze(stream)
    with shown_lake() as both:
        both.show(landed.earlier)
        for keys in portions(dice, [*snapshots, *changes], 3):
            both.show(keys)
            run_in_part(both, dice)
            both.run()
        assert both.differences("loan_applications") == []
        assert both.differences("loan_applications_live", rejected=False) == []
        done = both.dbt("test", "--exclude", "test_type:unit", "gold", "exposure:*", "tag:scores")
        assert done.returncode == 0, done.stdout
        assert_follows_from_bronze(both)
        both.run()
        landed_again = f"{both.silver}.int_loan_applications__landed"
        assert both.query(f"select count(*) from {landed_again} where claim <> 'truncate'") == [[0]]

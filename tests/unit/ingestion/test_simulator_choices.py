"""The simulator's choices, pace and words; that changes arrive, test_simulator.py sees."""

import itertools
import threading
import time
from collections import Counter

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from ingestion.options import duration
from ingestion.source.changes import (
    CORRECTED_TOGETHER,
    MEAN_SIZE,
    MIX,
    ROLLED_BACK_SHARE,
    Applications,
    ChangePlanner,
    Kind,
    Transaction,
)
from ingestion.source.columns import FILE_COLUMNS
from ingestion.source.console import summary
from ingestion.source.csv_values import PARSERS
from ingestion.source.generator import generate_tables
from ingestion.source.outage import Outage
from ingestion.source.pace import CATCH_UP_SECONDS, Pace
from ingestion.source.simulator import Simulated, SimulationPlan


def draw(transactions: int, *, seed: int = 1, number: int = 0) -> list[Transaction]:
    desk = ChangePlanner(Applications(seed, 1, 1000), seed, number)
    return [desk.transaction(desk.size()) for _ in range(transactions)]


@pytest.fixture(scope="module")
def many() -> list[Transaction]:
    return draw(5_000)


def test_the_same_seed_and_number_choose_the_same() -> None:
    assert draw(300) == draw(300)
    assert draw(300) != draw(300, seed=2)
    assert draw(300) != draw(300, number=1)


def test_the_mix_is_as_promised(many: list[Transaction]) -> None:
    made = Counter(dict.fromkeys(Kind, 0))
    for transaction in many:
        made.update({kind: len(rows) for kind, rows in transaction.statements})
    for kind, share in MIX.items():
        assert 100 * made[kind] / made.total() == pytest.approx(share, abs=2)
    assert made.total() / len(many) == pytest.approx(MEAN_SIZE, rel=0.1)
    rolled_back = sum(transaction.rolled_back for transaction in many)
    assert rolled_back / len(many) == pytest.approx(ROLLED_BACK_SHARE, abs=0.01)


def test_most_transactions_make_one_change_and_some_several_kinds(many: list[Transaction]) -> None:
    sizes = [sum(len(rows) for _, rows in transaction.statements) for transaction in many]
    assert 0.75 < sizes.count(1) / len(sizes) < 0.85
    assert max(sizes) == 20
    assert any(len(transaction.statements) == len(Kind) for transaction in many)


def test_every_value_would_pass_as_one_of_the_file(many: list[Transaction]) -> None:
    for transaction in many:
        for kind, rows in transaction.statements:
            for row in rows:
                columns = [column for column in row if column != "application_id"]
                assert columns or kind is Kind.withdrawal
                for column in columns:
                    if kind is Kind.decision:
                        assert 0 <= row[column] < 1
                    else:
                        PARSERS[column](str(row[column]))


def test_a_kind_names_what_it_changes(many: list[Transaction]) -> None:
    groups = {column: set(group) for group in CORRECTED_TOGETHER for column in group}
    for transaction in many:
        for kind, rows in transaction.statements:
            for row in rows:
                named = set(row) - {"application_id"}
                if kind is Kind.new:
                    assert named == set(FILE_COLUMNS)
                elif kind is Kind.correction:
                    assert all(groups[column] <= named for column in named)
                else:
                    assert named == ({"draw"} if kind is Kind.decision else set())


def test_new_keys_follow_the_greatest_and_others_are_known(many: list[Transaction]) -> None:
    greatest = 1000
    for transaction in many:
        for kind, rows in transaction.statements:
            keys = [row["application_id"] for row in rows]
            if kind is Kind.new:
                assert keys == list(range(greatest + 1, greatest + 1 + len(keys)))
                greatest = keys[-1]
            else:
                assert len(set(keys)) == len(keys)
                assert 1 <= min(keys) <= max(keys) <= greatest


def test_an_empty_table_gets_applications_first() -> None:
    desk = ChangePlanner(Applications(1, lowest=1, greatest=0), seed=1, number=0)
    ((kind, rows),) = desk.transaction(20).statements
    assert kind is Kind.new
    assert [row["application_id"] for row in rows] == list(range(1, 21))


def test_keys_that_another_session_used_are_skipped() -> None:
    applications = Applications(1, lowest=1, greatest=10)
    applications.skip_to(20)
    applications.skip_to(15)
    assert applications.take(1)[0]["application_id"] == 21


def test_new_applications_are_not_those_of_the_source_again() -> None:
    (source,) = generate_tables(100, seed=1)
    new = Applications(1, 1, 0).take(100)
    assert source["person_income"].to_pylist() != [row["person_income"] for row in new]


def test_turns_are_evenly_spaced() -> None:
    pace = Pace(100, threading.Event())
    now = time.monotonic()
    turns = [pace.reserve(size, now)[1] for size in (1, 20, 1, 1)]
    steps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert steps == pytest.approx([0.01, 0.2, 0.01])


def test_what_was_not_committed_is_due_again() -> None:
    pace = Pace(100, threading.Event())
    now = time.monotonic()
    _, first = pace.reserve(20, now)
    pace.give_back(15)
    assert pace.reserve(1, now)[1] - first == pytest.approx(0.05)


def test_a_long_stall_is_not_made_up_for() -> None:
    pace = Pace(100, threading.Event())
    now = time.monotonic()
    pace.reserve(1, now)
    later = now + 3600
    assert pace.reserve(1, later)[1] == later - CATCH_UP_SECONDS


@given(st.integers(1, 200), st.lists(st.tuples(st.integers(1, 20), st.booleans())))
def test_no_more_than_the_wanted_number_is_ever_granted(
    changes: int, transactions: list[tuple[int, bool]]
) -> None:
    pace = Pace(1e9, threading.Event(), changes=changes)
    committed = 0
    for size, rolled_back in transactions:
        granted = pace.take(size)
        assert granted == min(size, changes - committed)
        if rolled_back:
            pace.give_back(granted)
        else:
            committed += granted
    assert pace.take(changes) == changes - committed


def test_a_halt_ends_the_wait_and_takes_nothing() -> None:
    halt = threading.Event()
    pace = Pace(0.001, halt, changes=5)
    assert pace.take(1) == 1  # the next is due in 1,000 s
    halt.set()
    assert pace.take(1) == 0
    assert pace.reserve(9, time.monotonic())[0] == 4


def test_what_is_due_after_the_end_is_not_granted() -> None:
    pace = Pace(0.001, threading.Event(), seconds=1)
    assert [pace.take(1), pace.take(1)] == [1, 0]


def test_a_lagging_session_ends_in_time() -> None:
    pace = Pace(1e9, threading.Event(), seconds=1)
    assert pace.take(1) == 1
    time.sleep(1)
    assert pace.take(1) == 0


def test_an_outage_is_reported_once_for_all_sessions(capfd: pytest.CaptureFixture[str]) -> None:
    outage = Outage()
    connected_at = time.monotonic()
    outage.end()  # the first connections are no news
    outage.begin("[it was killed]", connected_at)
    outage.begin("it refuses", connected_at)
    outage.end()
    outage.end()
    outage.begin("noticed late by a session that paused", connected_at)
    printed = capfd.readouterr().err.splitlines()
    assert printed[0] == "PostgreSQL is down ([it was killed]); waiting until it is back"
    assert [line.split(" after")[0] for line in printed[1:]] == ["PostgreSQL is back"]
    outage.begin("once more", time.monotonic())
    assert "once more" in capfd.readouterr().err


@pytest.mark.parametrize("rate", [0.01, 500, 50_000])
def test_sessions_do_not_spend_their_time_pausing(rate: float) -> None:
    plan = SimulationPlan(rate=rate)
    a_second = rate / MEAN_SIZE * plan.pause_share
    assert 0 < plan.pause_share <= 0.05
    assert a_second <= plan.workers / 20 + 1e-9


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5m", 300), ("1h", 3600), ("1.5m", 90), ("0.5s", 0.5)]
)
def test_a_time_is_read(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "s", "60 s", "1d", "-1s", "0s", "1e3s", "60s\n"])
def test_another_text_is_no_time(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not like 60s"):
        duration(text)


def test_the_summary_counts_unknown_commits() -> None:
    done = Simulated(
        seconds=2, new=1000, corrected=20, decided=3, withdrawn=1, rolled_back=5, unknown=0
    )
    known = (
        "committed 1,024 changes in 2.0 s (512.0/s): 1,000 inserted, 23 updated, 1 deleted;"
        " 5 transactions rolled back"
    )
    assert summary(done) == known
    lost = Simulated(
        seconds=2, new=1000, corrected=20, decided=3, withdrawn=1, rolled_back=5, unknown=7
    )
    assert summary(lost) == f"{known}; 7 unknown: the answer to COMMIT was lost"

"""The simulator changes the source as it says, and the probe measures until Trino shows it."""

import json
import math
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from ingestion.errors import DataError, MissingError, ServiceError, SettingsError
from ingestion.settings import Settings
from ingestion.source import distribution
from ingestion.source.changes import Kind, relation, statements
from ingestion.source.generator import generate_chunks
from ingestion.source.load import replace_content
from ingestion.source.probe import Probed, probe
from ingestion.source.simulator import Simulated, SimulationPlan, simulate

FAST = 1e6  # changes a second: as fast as can be

# Every change that was committed, with what the changing transaction could see.
AUDIT = """
CREATE TABLE audit (op text, application_id bigint, pid int, xid xid8, seen pg_snapshot);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {schema}.audit VALUES (tg_op, coalesce(new.application_id, old.application_id),
        pg_backend_pid(), pg_current_xact_id(), pg_current_snapshot());
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON loan_applications
    FOR EACH ROW EXECUTE FUNCTION note();
"""


class Desk:
    """The table of a corner, with an audit of it."""

    def __init__(self, corner: Any, rows: int) -> None:
        self.corner = corner
        self.settings: Settings = corner.settings
        self.schema: str = corner.schema
        self.processes: list[subprocess.Popen[str]] = []
        replace_content(corner.settings, generate_chunks(rows, 1), schema=corner.schema)
        self.sql(AUDIT.format(schema=corner.schema))

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        search_path = f"SET LOCAL search_path TO {self.schema}"
        rows: list[tuple[Any, ...]] = self.corner.sql(search_path, *statements)
        return rows

    def simulate(self, rate: float = FAST, **plan: Any) -> Simulated:
        return simulate(self.settings, SimulationPlan(rate, schema=self.schema, **plan))

    def audited(self) -> tuple[int, int, int]:
        """Rows inserted, updated and deleted."""
        ops = [f"count(*) FILTER (WHERE op = '{op}')" for op in ("INSERT", "UPDATE", "DELETE")]
        ((inserted, updated, deleted),) = self.sql(f"SELECT {', '.join(ops)} FROM audit")
        return inserted, updated, deleted

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        """Simulate in a process of its own."""
        command = (sys.executable, "-m", "ingestion", "source", "simulate")
        running = subprocess.Popen(
            [*command, "--schema", self.schema, *options],
            env={**self.corner.environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(running)
        return running

    def wait_for_changes(self, number: int) -> None:
        """Wait until there are ``number`` more."""
        (before,) = self.sql("SELECT count(*) FROM audit")
        wait_until(lambda: self.sql("SELECT count(*) FROM audit")[0][0] >= before[0] + number)


def wait_until(true: Callable[[], Any]) -> None:
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def counts(done: Simulated) -> tuple[int, int, int]:
    return done.inserted, done.updated, done.deleted


def summary_counts(line: str) -> tuple[int, ...]:
    """Rows inserted, updated and deleted as the summary says."""
    assert line.count("\n") == 1, line
    words = ("inserted", "updated", "deleted")
    return tuple(int(re.findall(rf"([0-9,]+) {w}", line)[0].replace(",", "")) for w in words)


@pytest.fixture
def desk(corner: Any) -> Iterator[Desk]:
    made = Desk(corner, rows=1000)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


def test_what_it_counts_is_what_was_committed(desk: Desk) -> None:
    done = desk.simulate(changes=2000, workers=4)
    assert done.changes == 2000
    assert counts(done) == desk.audited()
    assert done.rolled_back > 0
    assert done.unknown == 0
    assert desk.sql("SELECT count(*) FROM loan_applications") == [
        (1000 + done.inserted - done.deleted,)
    ]


def test_every_change_moves_updated_at_and_new_keys_follow_the_greatest(desk: Desk) -> None:
    ((before,),) = desk.sql("SELECT clock_timestamp()")
    done = desk.simulate(changes=1000)
    rows = desk.sql(
        "SELECT application_id, created_at, updated_at, EXISTS (SELECT FROM audit AS a"
        " WHERE a.application_id = t.application_id) FROM loan_applications AS t"
    )
    for key, created_at, updated_at, changed in rows:
        assert (updated_at > before) == changed
        assert (created_at > before) == (key > 1000)
    # Keys of transactions that were rolled back are gone, as a sequence's would be.
    new = {key for (key,) in desk.sql("SELECT application_id FROM audit WHERE op = 'INSERT'")}
    assert len(new) == done.inserted
    assert 1000 < min(new) <= max(new) < 1000 + 2 * done.inserted


def test_transactions_overlap_and_some_make_several_changes(desk: Desk) -> None:
    desk.simulate(changes=3000, workers=4)
    assert desk.sql("SELECT count(DISTINCT pid) FROM audit") == [(4,)]
    ((overlapping,),) = desk.sql(
        "SELECT count(*) FROM audit AS one JOIN audit AS other ON other.xid < one.xid"
        " AND NOT pg_visible_in_snapshot(other.xid, one.seen)"
    )
    assert overlapping > 0
    sizes = [size for (size,) in desk.sql("SELECT count(*) FROM audit GROUP BY xid")]
    assert sizes.count(1) > len(sizes) / 2
    assert 2 < max(sizes) <= 20
    # The order of the versions of a row matters.
    assert desk.sql(
        "SELECT 1 FROM audit GROUP BY xid, application_id HAVING count(*) > 1 LIMIT 1"
    ) == [(1,)]


def test_no_previous_default_is_ever_approved(desk: Desk) -> None:
    desk.simulate(changes=2000)
    assert desk.sql(
        "SELECT count(*) FROM loan_applications"
        " WHERE previous_loan_defaults_on_file = 'Yes' AND loan_status = 1"
    ) == [(0,)]
    ((decided,),) = desk.sql("SELECT avg(loan_status) FROM loan_applications")
    assert 0.1 < decided < 0.4


def test_decisions_follow_the_odds_of_the_application(desk: Desk) -> None:
    """A draw just below the chance approves, one just above declines."""
    columns = (
        "application_id, previous_loan_defaults_on_file, loan_percent_income, loan_int_rate,"
        " person_income, person_home_ownership, loan_intent"
    )
    chances = {
        key: 0.0 if defaults == "Yes" else chance(*attributes)
        for key, defaults, *attributes in desk.sql(f"SELECT {columns} FROM loan_applications")
    }
    assert min(chance for chance in chances.values() if chance) < 0.02
    assert max(chances.values()) > 0.98
    decide = statements(relation(desk.schema))[Kind.decision]

    def approved(shift: float) -> set[int]:
        draws = [{"application_id": key, "draw": chances[key] + shift} for key in chances]
        with desk.corner.connect() as connection, connection.cursor() as cursor:
            cursor.execute(decide, (json.dumps(draws),))
        return {
            key
            for (key,) in desk.sql(
                "SELECT application_id FROM loan_applications WHERE loan_status = 1"
            )
        }

    assert approved(-1e-6) == {key for key, chance in chances.items() if chance}
    assert approved(+1e-6) == set()


def chance(
    percent_income: Decimal, int_rate: Decimal, income: int, ownership: str, intent: str
) -> float:
    """The chance of approval of an application without a previous default."""
    odds = (
        distribution.APPROVAL_INTERCEPT
        + distribution.APPROVAL_PERCENT_INCOME * float(percent_income)
        + distribution.APPROVAL_INT_RATE * float(int_rate)
        + distribution.APPROVAL_LOG_INCOME * math.log(income)
        + distribution.APPROVAL_HOME[ownership]
        + distribution.APPROVAL_INTENT[intent]
    )
    return 1 / (1 + math.exp(-odds))


def test_one_session_does_the_same_for_the_same_seed(corner: Any) -> None:
    def digest(seed: int) -> Any:
        replace_content(corner.settings, generate_chunks(500, 1), schema=corner.schema)
        simulate(
            corner.settings,
            SimulationPlan(FAST, changes=500, workers=1, seed=seed, schema=corner.schema),
        )
        return corner.sql(
            "SELECT md5(string_agg((to_jsonb(t) - 'created_at' - 'updated_at')::text, ''"
            f" ORDER BY application_id)) FROM {corner.schema}.loan_applications AS t"
        )

    assert digest(seed=7) == digest(seed=7)
    assert digest(seed=7) != digest(seed=8)


def test_an_empty_table_is_filled(corner: Any) -> None:
    desk = Desk(corner, rows=0)
    # One session: with several, chance decides which takes key 1, and may roll it back.
    done = desk.simulate(changes=300, workers=1)
    assert counts(done) == desk.audited()
    assert done.inserted > 0
    assert done.updated > 0
    assert desk.sql("SELECT min(application_id) FROM audit") == [(1,)]


def test_a_table_that_is_replaced_during_the_run_is_changed(desk: Desk) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        plan = SimulationPlan(200, schema=desk.schema)
        running = pool.submit(simulate, desk.settings, plan, stop)
        try:
            desk.wait_for_changes(20)
            # Its keys reach beyond those that the simulator knows of.
            replace_content(desk.settings, generate_chunks(5000, 2), schema=desk.schema)
            desk.sql("TRUNCATE audit")
            wait_until(lambda: desk.sql("SELECT 1 FROM audit WHERE application_id > 5000 LIMIT 1"))
        finally:
            stop.set()
        assert running.result().inserted > 0


def test_a_row_that_another_session_holds_is_passed_over(desk: Desk) -> None:
    other = desk.corner.connect()
    other.cursor().execute("SELECT FROM loan_applications WHERE application_id <= 500 FOR UPDATE")
    done = desk.simulate(changes=500)
    other.close()
    assert done.changes == 500
    assert desk.sql("SELECT count(*) FROM audit WHERE application_id <= 500") == [(0,)]


def test_a_missing_table_is_an_error(corner: Any) -> None:
    with pytest.raises(MissingError, match="does not exist"):
        simulate(corner.settings, SimulationPlan(schema=corner.schema))


def test_ctrl_c_ends_it_with_the_summary(desk: Desk) -> None:
    running = desk.start("--rate", "200")
    desk.wait_for_changes(50)
    running.send_signal(signal.SIGINT)
    printed, complained = running.communicate(timeout=60)
    assert (running.returncode, complained) == (0, "")
    assert summary_counts(printed) == desk.audited()


def test_it_ends_by_itself(desk: Desk) -> None:
    printed, complained = desk.start("--rate", "100", "--for", "0.5s").communicate(timeout=60)
    assert complained == ""
    assert 0 < sum(summary_counts(printed)) <= 100
    assert summary_counts(printed) == desk.audited()


@contextmanager
def own_user(desk: Desk, administrator: Any) -> Iterator[Callable[[str], None]]:
    """A user that may do what the owner may; what is yielded changes it."""
    name, owner = f"{desk.schema}_clerk", desk.settings.source_owner_user
    cursor = administrator.cursor()
    cursor.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'clerk'; GRANT {owner} TO {name}")
    password = SecretStr("clerk")
    update = {"source_owner_user": name, "source_owner_password": password}
    desk.settings = desk.settings.model_copy(update=update)
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'"
    try:
        yield lambda change: cursor.execute(f"ALTER ROLE {name} {change}; {ended}")
    finally:
        cursor.execute(ended)
        cursor.execute(f"DROP ROLE {name}")


def test_a_server_that_goes_away_ends_it(desk: Desk, administrator: Any) -> None:
    with own_user(desk, administrator) as change_user:
        running = desk.start(
            *("--rate", "200"),
            SOURCE_OWNER_USER=desk.settings.source_owner_user,
            SOURCE_OWNER_PASSWORD="clerk",
        )
        desk.wait_for_changes(50)
        change_user("NOLOGIN")
        printed, complained = running.communicate(timeout=60)
    assert running.returncode == 4
    assert complained.startswith("error: changing the source: ")
    assert "Traceback" not in complained
    unknown = re.search(r"([0-9,]+) unknown", printed)
    missing = sum(desk.audited()) - sum(summary_counts(printed))
    assert 0 <= missing <= (int(unknown[1]) if unknown else 0)


def test_a_server_that_goes_away_is_waited_for(
    desk: Desk, administrator: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    stop = threading.Event()
    with own_user(desk, administrator) as change_user, ThreadPoolExecutor(1) as pool:
        plan = SimulationPlan(300, schema=desk.schema, keep_going=True)
        running = pool.submit(simulate, desk.settings, plan, stop)
        try:
            desk.wait_for_changes(50)
            change_user("NOLOGIN")
            time.sleep(1)  # some attempts are refused
            assert not running.done()
            change_user("LOGIN")
            desk.wait_for_changes(200)
        finally:
            stop.set()
        done = running.result()
    printed = " ".join(capfd.readouterr().err.split())
    assert printed.count("PostgreSQL is down") == 1
    assert printed.count("PostgreSQL is back after") == 1
    assert 0 <= sum(desk.audited()) - done.changes <= done.unknown


def test_a_commit_without_an_answer_is_unknown(desk: Desk) -> None:
    """The tenth commit takes its own session along."""
    desk.sql(
        "CREATE SEQUENCE commits",
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('{desk.schema}.commits') = 10 THEN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION die()",
    )
    done = desk.simulate(changes=200, workers=2, keep_going=True)
    assert done.unknown > 0
    assert done.changes == 200
    assert counts(done) == desk.audited()


@pytest.fixture
def live(corner: Any) -> Callable[..., str]:
    """Makes a relation in Trino that shows applications at an updated_at."""
    corner.trino.query(
        f"CREATE SCHEMA {corner.silver} WITH (location = 's3://silver/{corner.schema}')"
    )

    def make(*rows: tuple[int, str], type_of_time: str = "timestamp(6)") -> str:
        name = f"{corner.silver}.live"
        corner.trino.query(
            f"CREATE TABLE {name} (application_id bigint, updated_at {type_of_time})"
        )
        for key, moment in rows:
            corner.trino.query(f"INSERT INTO {name} VALUES ({key}, TIMESTAMP '{moment}')")
        return name

    return make


@pytest.mark.parametrize("type_of_time", ["timestamp(6)", "timestamp(6) with time zone"])
def test_a_probe_ends_when_trino_shows_the_change(
    desk: Desk, live: Callable[..., str], type_of_time: str
) -> None:
    name = live((7, "2020-01-01 00:00:00"), type_of_time=type_of_time)
    changed = (
        "SELECT application_id, updated_at FROM loan_applications JOIN audit USING (application_id)"
    )
    with ThreadPoolExecutor(1) as pool:
        probing = pool.submit(lambda: list(probe(desk.settings, name, schema=desk.schema, times=1)))
        wait_until(lambda: desk.sql(changed))
        ((key, updated_at),) = desk.sql(changed)
        # The simulator leaves the row alone as long as it is probed.
        held = (
            f"SELECT 1 FROM loan_applications WHERE application_id = {key} FOR UPDATE SKIP LOCKED"
        )
        wait_until(lambda: not desk.sql(held))
        assert not probing.done()
        desk.corner.trino.query(
            f"INSERT INTO {name} VALUES ({key}, TIMESTAMP '{updated_at:%Y-%m-%d %H:%M:%S.%f}')"
        )
        (found,) = probing.result()
    assert found == Probed(key, updated_at, found.seconds)
    assert found.seconds > 0
    assert desk.audited() == (0, 1, 0)
    assert len(desk.sql(held)) == 1


def run_probe(desk: Desk, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "ingestion", "source", "probe", "--schema", desk.schema),
            *options,
        ],
        env=desk.corner.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_probe_and_the_median_are_printed(desk: Desk, live: Callable[..., str]) -> None:
    desk.sql("DELETE FROM loan_applications WHERE application_id > 1; TRUNCATE audit")
    name = live((1, "2100-01-01 00:00:00"))
    done = run_probe(desk, "--table-in-trino", name, "--times", "3", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    seconds = [one["seconds"] for one in found["probes"]]
    assert [one["application_id"] for one in found["probes"]] == [1, 1, 1]
    assert found["median_seconds"] == sorted(seconds)[1]
    assert desk.audited() == (0, 3, 0)
    shown = run_probe(desk, "--table-in-trino", name, "--times", "1").stdout
    assert re.search(r"median .* [0-9]+\.[0-9]{2} ", shown), shown


def test_a_change_that_does_not_show_is_an_error(desk: Desk, live: Callable[..., str]) -> None:
    desk.sql("DELETE FROM loan_applications WHERE application_id > 1")
    name = live((1, "2020-01-01 00:00:00"))
    done = run_probe(desk, "--table-in-trino", name, "--timeout", "1")
    assert done.returncode == 4
    assert "application 1, changed in the source at" in done.stderr
    assert f"is not in {name} after 1 s" in done.stderr
    assert "make stream-status" in done.stderr


def test_nothing_is_touched_if_there_is_nothing_to_look_at(desk: Desk) -> None:
    with pytest.raises(MissingError):
        list(probe(desk.settings, f"{desk.corner.silver}.nothing", schema=desk.schema))
    with pytest.raises(SettingsError, match=r"is not like catalog\.schema\.table"):
        list(probe(desk.settings, "live", schema=desk.schema))
    assert desk.audited() == (0, 0, 0)


def test_a_source_without_rows_cannot_be_probed(corner: Any, live: Callable[..., str]) -> None:
    desk = Desk(corner, rows=0)
    with pytest.raises(DataError, match="has no row to touch"):
        list(probe(desk.settings, live(), schema=desk.schema))


def test_a_stopped_trino_is_an_error(desk: Desk) -> None:
    unreachable = desk.settings.model_copy(update={"trino_port": 1})
    with pytest.raises(ServiceError, match="cannot reach Trino"):
        list(probe(unreachable, schema=desk.schema))
    assert desk.audited() == (0, 0, 0)

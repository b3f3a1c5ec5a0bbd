"""Changes the source as a loan desk does: several sessions at once, at an even rate."""

# The relation's name is quoted.
# ruff: noqa: S608

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import psycopg2
from psycopg2 import errors as pg
from psycopg2 import extensions

from ingestion.errors import ServiceError
from ingestion.options import SEED, SIMULATED_SESSIONS
from ingestion.postgres import connect_owner, first_line, one_row, plain_errors, translate
from ingestion.settings import Settings
from ingestion.source.changes import (
    MEAN_SIZE,
    PAUSE_INTERVAL_SECONDS,
    Applications,
    ChangePlanner,
    Kind,
    relation,
    statements,
)
from ingestion.source.outage import Outage
from ingestion.source.pace import Pace

APPLICATION = "ingestion simulate"
_ACTION = "changing the source"


@dataclass(frozen=True)
class SimulationPlan:
    """What to simulate, until the time or the number of changes is reached, or stopped."""

    rate: float = 500  # committed changes a second
    seconds: float | None = None
    changes: int | None = None
    workers: int = SIMULATED_SESSIONS
    seed: int = SEED
    schema: str = "public"
    keep_going: bool = False

    @property
    def pause_share(self) -> float:
        """How many transactions pause, so that each session does so now and then."""
        a_second = self.rate / MEAN_SIZE / self.workers
        return min(1 / (PAUSE_INTERVAL_SECONDS * a_second), 1 / PAUSE_INTERVAL_SECONDS)


@dataclass(frozen=True)
class Simulated:
    """What was surely committed, and what was not."""

    seconds: float
    new: int
    corrected: int
    decided: int
    withdrawn: int
    rolled_back: int  # transactions
    unknown: int  # changes whose COMMIT was sent and never answered

    @property
    def inserted(self) -> int:
        """Rows inserted."""
        return self.new

    @property
    def updated(self) -> int:
        """Rows updated, each as often as it was."""
        return self.corrected + self.decided

    @property
    def deleted(self) -> int:
        """Rows deleted."""
        return self.withdrawn

    @property
    def changes(self) -> int:
        """All changes."""
        return self.inserted + self.updated + self.deleted

    @property
    def rate(self) -> float:
        """Changes a second, over the whole time."""
        return self.changes / self.seconds if self.seconds else 0.0


def simulate(
    settings: Settings,
    plan: SimulationPlan,
    stop_event: threading.Event | None = None,
    watch: Callable[[Simulated], None] | None = None,
) -> Simulated:
    """Change the source until the plan is done or ``stop_event`` is set.

    ``watch`` is called with the totals ten times a second and at the end, also after a
    failure. With ``plan.keep_going`` it waits for a PostgreSQL that is down.

    Raises:
        ServiceError: PostgreSQL cannot be reached, or the connection is lost.
        MissingError: the schema or table is not there.
        LockedError: another session kept the table locked.
    """
    applications = _find_applications(settings, plan)
    halt = threading.Event()
    pace = Pace(plan.rate, halt, changes=plan.changes, seconds=plan.seconds)
    shared = _Shared(settings, plan, halt, pace, _Tally(), Outage(), applications)
    with ThreadPoolExecutor(plan.workers) as pool:
        running = [pool.submit(_Session(shared, number).run) for number in range(plan.workers)]
        try:
            _wait(running, shared, stop_event or halt, watch)
        finally:
            halt.set()
    result = shared.tally.so_far()
    if watch:
        watch(result)
    for session in running:
        session.result()  # the first failure
    return result


def _find_applications(settings: Settings, plan: SimulationPlan) -> Applications:
    connection = connect_owner(settings, APPLICATION)
    try:
        with plain_errors(_ACTION), connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(min(application_id), 1), coalesce(max(application_id), 0)"
                f" FROM {relation(plan.schema)}"
            )
            return Applications(plan.seed, *one_row(cursor))
    finally:
        connection.close()


def _wait(
    running: list[Future[None]],
    shared: "_Shared",
    stop_event: threading.Event,
    watch: Callable[[Simulated], None] | None,
) -> None:
    pending = set(running)
    while pending:
        done, pending = wait(pending, 0.1, FIRST_EXCEPTION)
        if stop_event.is_set() or any(session.exception() for session in done):
            shared.halt.set()
        if watch:
            watch(shared.tally.so_far())


class _Tally:
    """Counts what the sessions did."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._done: Counter[Kind] = Counter()
        self._rolled_back = 0
        self._unknown = 0

    def commit(self, done: Counter[Kind]) -> None:
        with self._lock:
            self._done.update(done)

    def roll_back(self) -> None:
        with self._lock:
            self._rolled_back += 1

    def lose(self, done: Counter[Kind]) -> None:
        with self._lock:
            self._unknown += done.total()

    def so_far(self) -> Simulated:
        with self._lock:
            return Simulated(
                seconds=time.monotonic() - self._began,
                new=self._done[Kind.new],
                corrected=self._done[Kind.correction],
                decided=self._done[Kind.decision],
                withdrawn=self._done[Kind.withdrawal],
                rolled_back=self._rolled_back,
                unknown=self._unknown,
            )


@dataclass(frozen=True)
class _Shared:
    """What the sessions have in common."""

    settings: Settings
    plan: SimulationPlan
    halt: threading.Event
    pace: Pace
    tally: _Tally
    outage: Outage
    applications: Applications


class _Session:
    """One clerk: one connection, one transaction after the other."""

    def __init__(self, shared: _Shared, number: int) -> None:
        plan = shared.plan
        self._shared = shared
        self._planner = ChangePlanner(shared.applications, plan.seed, number, plan.pause_share)
        self._relation = relation(plan.schema)
        self._statements = statements(self._relation)
        self._connected_at = time.monotonic()

    def run(self) -> None:
        """Make changes until there is no more to do."""
        while (connection := self._connect()) is not None:
            try:
                self._work(connection)
                return
            except psycopg2.Error as error:
                if not (connection.closed and self._shared.plan.keep_going):
                    raise translate(error, _ACTION) from None
                self._shared.outage.begin(first_line(error), self._connected_at)
            finally:
                connection.close()

    def _connect(self) -> extensions.connection | None:
        """A connection; None if it is time to stop before there is one."""
        delay = 0.1
        while not self._shared.halt.is_set():
            try:
                connection = connect_owner(self._shared.settings, APPLICATION)
            except ServiceError as error:
                if not self._shared.plan.keep_going:
                    raise
                self._shared.outage.begin(error.message, self._connected_at)
                self._shared.halt.wait(delay)
                delay = min(2 * delay, 2)
            else:
                self._connected_at = time.monotonic()
                self._shared.outage.end()
                return connection
        return None

    def _work(self, connection: extensions.connection) -> None:
        pace = self._shared.pace
        while size := pace.take(self._planner.size()):
            committed = 0
            try:
                committed = self._transact(connection, size)
            finally:
                pace.give_back(size - committed)

    def _transact(self, connection: extensions.connection, size: int) -> int:
        """Make one transaction; how many changes are committed."""
        transaction = self._planner.transaction(size)
        done: Counter[Kind] = Counter()
        pause = transaction.pause
        try:
            with connection.cursor() as cursor:
                for kind, rows in transaction.statements:
                    cursor.execute(self._statements[kind], (json.dumps(rows),))
                    done[kind] += cursor.rowcount
                    if pause:
                        self._shared.pace.pause(pause)
                        pause = 0
        except pg.UniqueViolation:
            # Another session inserts rows too, or has replaced the table.
            connection.rollback()
            self._shared.tally.roll_back()
            self._skip_keys(connection)
            return 0
        return self._end(connection, transaction.rolled_back, done)

    def _end(
        self, connection: extensions.connection, rolled_back: bool, done: Counter[Kind]
    ) -> int:
        if rolled_back:
            connection.rollback()
            self._shared.tally.roll_back()
            return 0
        try:
            connection.commit()
        except psycopg2.OperationalError:
            if connection.closed:
                self._shared.tally.lose(done)
            raise
        self._shared.tally.commit(done)
        return done.total()

    def _skip_keys(self, connection: extensions.connection) -> None:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT max(application_id) FROM {self._relation}")
            self._shared.applications.skip_to(one_row(cursor)[0] or 0)

"""Injects one fault after the other while the source changes; checks recovery after each."""

import re
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ingestion.errors import IngestionError, MissingError, ServiceError
from ingestion.reconcile.run import reconcile_table
from ingestion.settings import get_settings
from ingestion.source.simulator import SimulationPlan, simulate
from ingestion.storage import Bronze
from ingestion.stream.object_keys import FOLDER, ROWS
from ingestion.stream.topics import topic_of
from ingestion.stream.wait import wait_until_landed
from ingestion.tables import load_tables
from ingestion.trino_client import Trino
from tests.faults.check import Check
from tests.faults.dbt import build_silver
from tests.faults.faults import Fault
from tests.faults.online import wrong_features
from tests.faults.scene import Scene
from tests.stack import ingest

RATE = 300
SECONDS = 5.0
# When a fault comes in a run of dbt, which takes that long on a quiet machine.
DBT_SECONDS = (3.0, 20.0)
# Against a hang, not a claim about speed.
TIMEOUT_SECONDS = 240
POLL_INTERVAL_SECONDS = 0.2


@dataclass(frozen=True)
class Outcome:
    """What one fault did.

    Attributes:
        detail: what exactly was done.
        after: seconds from the first changes to the fault.
        seconds: from the fault until full recovery; None if there was none.
        committed, unknown: the simulator's changes: surely, and perhaps (COMMIT was not answered).
        landed: how many changes landed.
        problems: what else is wrong, in words.
    """

    fault: str
    detail: str
    after: float
    seconds: float | None
    committed: int
    unknown: int
    landed: int = 0
    lost: int = 0
    repeated: int = 0
    problems: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether nothing was lost, repeated or left broken."""
        return self.seconds is not None and not (self.lost or self.repeated or self.problems)


class NotWellError(Exception):
    """The stack is still not well after a long time."""


class Drill:
    """The stack of ``scene``; its source's table is emptied, and captured.

    ``seconds``: how long the simulator runs around each fault, if that does not take longer.
    """

    def __init__(self, scene: Scene, seconds: float = SECONDS) -> None:
        self._scene, self._seconds = scene, seconds
        self._settings = get_settings()
        tables = load_tables()
        [self._table] = tables.select(["loan_applications"])
        self._changes = f"{tables.bronze_schema}.{self._table.name}_changes"
        self._bronze = Bronze(self._settings)
        ingest("source", "generate", "--rows", "0")
        ingest("stream", "capture")
        ingest("bronze-tables")
        self._wait_until_well()
        self._check = Check(self._settings, self._table)
        self._tally = self._check.tally()
        if self._tally.lost or self._tally.broken:
            raise RuntimeError(f"all is not well before the first fault: {self._tally}")

    def run(self, faults: Iterable[Fault], silver_every: int) -> Iterator[Outcome]:
        """Strike one after the other; end with the first that is not got over.

        Silver is built and compared with the source after every so many faults, and
        after each fault in a run of dbt.
        """
        for number, fault in enumerate(faults, start=1):
            outcome = self._strike(fault)
            if outcome.seconds is not None and (fault.in_dbt_run or number % silver_every == 0):
                outcome = replace(outcome, problems=(*outcome.problems, *self.silver_problems()))
            yield outcome
            if outcome.seconds is None:
                return

    def silver_problems(self) -> list[str]:
        """Build silver of what has landed; what is wrong with it, in words."""
        dbt = build_silver()
        if dbt.returncode:
            return [f"dbt run failed:\n{dbt.stdout[-3000:]}"]
        try:
            result = reconcile_table(self._settings, self._table)
            records = self._query('count(*), count(DISTINCT (topic_id, partition, "offset"))')
        except IngestionError as error:
            return [error.message]
        problems = []
        if not result.equal:
            problems.append(
                f"silver has {result.silver_rows} rows, the source {result.source_rows};"
                f" they differ: {result.differences[:3]}"
            )
        if records != (self._tally.records, self._tally.records):
            problems.append(f"Trino sees {records} records, the check {self._tally.records}")
        return problems or wrong_features(self._settings)

    def _strike(self, fault: Fault) -> Outcome:
        with ThreadPoolExecutor(1) as pool:
            building = pool.submit(build_silver) if fault.in_dbt_run else None
            moments = DBT_SECONDS if building else (0.1 * self._seconds, 0.9 * self._seconds)
            after = self._scene.dice.uniform(*moments)
            outcome, struck = self._strike_while_source_changes(fault, after)
            try:
                self._wait_until_well()
            except NotWellError as error:
                return replace(outcome, problems=(str(error),))
            outcome = replace(outcome, seconds=time.monotonic() - struck)
            if building:
                how = "failed" if building.result().returncode else "went on"
                outcome = replace(outcome, detail=f"{after:.1f} s into it; dbt {how}")
        return self._judge(outcome)

    def _strike_while_source_changes(self, fault: Fault, after: float) -> tuple[Outcome, float]:
        """The outcome as far as it is known, and the moment of the fault."""
        with ThreadPoolExecutor(1) as pool:
            begun, stop = threading.Event(), threading.Event()
            plan = SimulationPlan(RATE, seed=self._scene.dice.randrange(2**31), keep_going=True)
            simulation = pool.submit(simulate, self._settings, plan, stop, lambda _: begun.set())
            try:
                begun.wait(TIMEOUT_SECONDS)
                time.sleep(after)
                struck = time.monotonic()
                detail = fault.strike(self._scene)
                time.sleep(max(0, struck - after + self._seconds - time.monotonic()))
            finally:
                stop.set()
            done = simulation.result()
        return Outcome(fault.name, detail, after, None, done.changes, done.unknown), struck

    def _judge(self, outcome: Outcome) -> Outcome:
        """What is lost, repeated and broken that was not before."""
        before, self._tally = self._tally, self._check.tally()
        landed = self._tally.changes - before.changes
        return replace(
            outcome,
            landed=landed,
            lost=max(len(self._tally.lost - before.lost), outcome.committed - landed),
            repeated=max(
                self._tally.repeated - before.repeated,
                landed - outcome.committed - outcome.unknown,
            ),
            problems=(*outcome.problems, *sorted(self._tally.broken - before.broken)),
        )

    def _wait_until_well(self) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while ailing := self._ailing():
            if time.monotonic() > deadline:
                raise NotWellError(ailing)
            time.sleep(POLL_INTERVAL_SECONDS)

    def _ailing(self) -> str | None:
        """Why not all is well; None if the services are, and all has landed and can be queried."""
        try:
            if unhealthy := self._scene.unhealthy_service():
                return unhealthy
            wait_until_landed(self._settings, [self._table], TIMEOUT_SECONDS, lambda _: None)
            return self._unseen()
        except (ServiceError, MissingError) as error:
            return error.message

    def _unseen(self) -> str | None:
        """What Trino does not see of the newest object."""
        folder = f"{FOLDER}/{topic_of(self._settings, self._table)}/"
        objects = self._bronze.objects(folder)
        newest = max(objects, key=lambda stored: stored.landed_at, default=None)
        if newest is None:
            return None
        day, hour = re.findall(r"/(?:dt|hour)=([^/]+)", newest.key)
        [seen] = self._query(
            "count(*)",
            f"WHERE dt = DATE '{day}' AND hour = {int(hour)}"
            f" AND \"$path\" = '{self._bronze.uri(newest.key)}'",
        )
        rows = int(self._bronze.metadata(newest.key)[ROWS])
        return None if seen == rows else f"Trino sees {seen} of the newest object's {rows} rows"

    def _query(self, what: str, where: str = "") -> tuple[object, ...]:
        [row] = Trino(self._settings).query(f"SELECT {what} FROM {self._changes} {where}")
        return row

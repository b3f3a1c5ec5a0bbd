"""What the terminal sees of a simulation and of probes."""

import json
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from statistics import median
from types import FrameType

from rich.status import Status
from rich.table import Table

from ingestion.progress import err, out
from ingestion.settings import Settings
from ingestion.source.probe import Probed
from ingestion.source.simulator import Simulated, SimulationPlan, simulate


def run_simulation(settings: Settings, plan: SimulationPlan) -> None:
    """Simulate until it is done or Ctrl-C; a summary, even of what failed midway.

    Raises:
        IngestionError: see ``simulate``.
    """
    display = _Display()
    try:
        with _stopped_by_signals() as stop, display.shown():
            simulate(settings, plan, stop, display.update)
    finally:
        if display.latest:
            out.print(summary(display.latest), soft_wrap=True)


def summary(done: Simulated) -> str:
    """What a simulation did, in one line."""
    unknown = f"; {done.unknown:,} unknown: the answer to COMMIT was lost" if done.unknown else ""
    return (
        f"committed {done.changes:,} changes in {done.seconds:.1f} s ({done.rate:,.1f}/s):"
        f" {done.inserted:,} inserted, {done.updated:,} updated, {done.deleted:,} deleted;"
        f" {done.rolled_back:,} transactions rolled back{unknown}"
    )


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; a second one has its usual effect."""
    stop = threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Display:
    """One line on stderr that is repainted while the simulation runs."""

    def __init__(self) -> None:
        self.latest: Simulated | None = None
        self._status = Status("simulating", console=err)
        self._last_second: deque[Simulated] = deque()

    def shown(self) -> AbstractContextManager[object]:
        """Show the line within the block; a log file wants no repainted one."""
        return self._status if err.is_terminal else nullcontext()

    def update(self, done: Simulated) -> None:
        """Show what has been done so far."""
        self.latest = done
        recent = self._last_second
        recent.append(done)
        while done.seconds - recent[0].seconds > 1:
            recent.popleft()
        span = done.seconds - recent[0].seconds
        rate = (done.changes - recent[0].changes) / span if span else 0
        self._status.update(
            f"{done.seconds:,.0f} s  [cyan]{rate:,.0f}/s[/]  new {done.new:,}"
            f"  corrected {done.corrected:,}  decided {done.decided:,}"
            f"  withdrawn {done.withdrawn:,}  rolled back {done.rolled_back:,}"
        )


def print_probes(probed: Iterator[Probed], live: str, *, as_json: bool) -> None:
    """Probe, and print each time and their median."""
    with err.status(f"waiting for {live}") if err.is_terminal else nullcontext():
        found = list(probed)
    middle = median(one.seconds for one in found)
    if as_json:
        times = [{**asdict(one), "updated_at": one.updated_at.isoformat()} for one in found]
        out.print_json(json.dumps({"live": live, "median_seconds": middle, "probes": times}))
        return
    grid = Table("application", "changed (UTC)", "seconds", title=f"From commit to {live}")
    grid.columns[2].justify = "right"
    for one in found:
        when = f"{one.updated_at:%H:%M:%S.%f}"[:-3]
        grid.add_row(str(one.application_id), when, f"{one.seconds:.2f}")
    grid.add_section()
    grid.add_row("median", "", f"{middle:.2f}")
    out.print(grid)

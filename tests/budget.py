"""Options for a run that may not be able to run all tests.

    pytest --stop-at=1795805400 --shuffle-modules=$(git rev-parse HEAD)

From the time on that `--stop-at` names, no further test starts. Those left out are listed at the
end of the run and count neither as passed nor as skipped. `--shuffle-modules` decides by its text
in which order the modules run, so that every test gets its turn in one of several such runs.
"""

import random
import time
from collections.abc import Generator
from itertools import chain, groupby

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("budget")
    group.addoption(
        "--stop-at", type=float, metavar="TIME", help="start no test later (seconds since 1970)"
    )
    group.addoption(
        "--shuffle-modules", metavar="SEED", help="run the modules in an order decided by SEED"
    )


def pytest_configure(config: pytest.Config) -> None:
    if (end := config.getoption("--stop-at")) is not None:
        config.pluginmanager.register(Budget(end), "budget")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (seed := config.getoption("--shuffle-modules")) is not None:
        # Whole modules: their tests share fixtures, and some build on each other.
        modules = [list(module) for _, module in groupby(items, key=lambda item: item.path)]
        random.Random(seed).shuffle(modules)
        items[:] = chain.from_iterable(modules)


class Budget:
    def __init__(self, end: float) -> None:
        self.end = end
        self.is_used_up = False
        self.session: pytest.Session
        self.left_out: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        self.session = session
        self.left_out = [item.nodeid for item in session.items]
        self.look_at_the_clock()
        try:
            return (yield)
        except session.Interrupted:
            if self.is_used_up:
                return True  # no failure: the exit code is that of the tests that ran
            raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if self.is_used_up:  # before the first test
            return True
        self.left_out.remove(item.nodeid)
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Before the teardown, which then ends all fixtures and reports what fails in them.
        if report.when != "teardown":
            self.look_at_the_clock()

    def look_at_the_clock(self) -> None:
        if self.left_out and time.time() >= self.end and not self.session.shouldstop:
            self.is_used_up = True
            self.session.shouldstop = "the time is used up"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.is_used_up:
            terminalreporter.section(f"left out, the time is used up: {len(self.left_out)} tests")
            for name in self.left_out:
                terminalreporter.line(name)

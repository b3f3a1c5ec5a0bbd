"""With `--durations`, the summary also tells how long the tests of each folder took."""

from collections import defaultdict
from pathlib import PurePosixPath

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--durations") is not None:
        config.pluginmanager.register(FolderTimes(), "folder_times")


class FolderTimes:
    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.tests: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Set-up and teardown count too; a fixture counts for the test that first needs it."""
        folder = "/".join(PurePosixPath(report.nodeid.split("::")[0]).parent.parts[:2])
        self.seconds[folder] += report.duration
        self.tests[folder].add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.seconds:
            terminalreporter.section("time per folder")
        for folder, seconds in sorted(self.seconds.items(), key=lambda entry: -entry[1]):
            count = len(self.tests[folder])
            terminalreporter.line(f"{seconds:7.0f}s {folder:20} {count:4} tests")

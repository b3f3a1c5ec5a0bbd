"""With `--durations`, a run tells how long each folder took."""

import pytest

pytest_plugins = ["pytester"]

QUICK = "def test_one(): pass\ndef test_two(): pass"
LONG = """
import pytest
@pytest.fixture
def service(): yield
def test_one(service): pass
"""
# Reports a minute each for set-up, call and teardown of a test in long/.
CONFTEST = """
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.duration = 60 if "long" in item.nodeid else 0.01
    return report
"""


@pytest.fixture
def folders(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    for name, text in {"quick/inner/test_quick": QUICK, "long/test_long": LONG}.items():
        file = pytester.path / f"tests/{name}.py"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return pytester


def test_each_folder_has_its_time_the_longest_first(folders: pytest.Pytester) -> None:
    result = folders.runpytest("-p", "tests.folder_times", "--durations=1")
    result.stdout.re_match_lines(
        ["=+ time per folder =+", r" +180s tests/long +1 tests", r" +0s tests/quick +2 tests"],
        consecutive=True,
    )


def test_who_does_not_ask_for_times_gets_none(folders: pytest.Pytester) -> None:
    folders.runpytest("-p", "tests.folder_times").stdout.no_fnmatch_line("*time per folder*")

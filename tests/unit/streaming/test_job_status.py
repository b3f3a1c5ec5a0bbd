"""What `python -m streaming status` says is wrong."""

from datetime import UTC, datetime, timedelta

from streaming.status import JobStatus, root_cause

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def job(state: str = "RUNNING", seconds_ago: float | None = 5, failure: str = "") -> JobStatus:
    taken = None if seconds_ago is None else NOW - timedelta(seconds=seconds_ago)
    return JobStatus("loans", state, 1, taken, 362, 3, failure or None)


def test_a_job_that_runs_and_takes_checkpoints_is_well() -> None:
    assert job().problems(NOW) == []
    assert job(seconds_ago=None).problems(NOW) == []  # it has just begun


def test_a_job_that_does_not_run_is_named_with_its_cause() -> None:
    [problem] = job("RESTARTING", failure="Connection refused").problems(NOW)
    assert problem == "loans is restarting: Connection refused"


def test_checkpoints_that_fail_are_named() -> None:
    [problem] = job(seconds_ago=90).problems(NOW)
    assert problem.startswith("loans has completed no checkpoint since 11-28 11:58:30, 3 failed")


def test_the_cause_is_the_first_of_javas_chain() -> None:
    trace = """java.lang.RuntimeException: One or more fetchers have failed
\tat org.apache.flink.Reader.poll(Reader.java:1)
Caused by: java.io.IOException: write
\tat a.b.C.d(C.java:2)
Caused by: java.net.ConnectException: Connection refused
\t... 3 more
"""
    assert root_cause(trace) == "java.net.ConnectException: Connection refused"
    assert root_cause("java.lang.Error: alone\n\tat a.b") == "java.lang.Error: alone"

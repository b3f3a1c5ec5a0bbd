"""What `python -m streaming status` says is wrong."""

from datetime import UTC, datetime, timedelta

from streaming.flink_client import root_cause
from streaming.status import JobStatus, Reading, state_of, topic_problem

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def job(
    state: str = "RUNNING",
    seconds_ago: float | None = 5,
    failure: str = "",
    problem: str | None = None,
    began: float = 600,
) -> JobStatus:
    taken = None if seconds_ago is None else NOW - timedelta(seconds=seconds_ago)
    return JobStatus(
        name="loans",
        state=state,
        started=NOW - timedelta(seconds=began),
        failures=1,
        checkpoint=taken,
        checkpoint_bytes=362,
        failed_checkpoints=3,
        last_failure=failure or None,
        reading=Reading(0, problem),
    )


def test_a_job_that_runs_and_takes_checkpoints_is_well() -> None:
    assert job().problems(NOW) == []
    assert job(seconds_ago=None, began=5).problems(NOW) == []


def test_a_job_that_does_not_run_is_named_with_its_cause() -> None:
    [problem] = job("RESTARTING", failure="Connection refused").problems(NOW)
    assert problem.startswith("loans is restarting: Connection refused: see whether")


def test_a_job_whose_tasks_wait_does_not_run() -> None:
    tasks = {"running": 0, "scheduled": 2, "failed": 0, "total": 2}
    assert state_of({"state": "RUNNING", "tasks": tasks}) == "SCHEDULED"
    assert state_of({"state": "RESTARTING", "tasks": tasks}) == "RESTARTING"
    assert state_of({"state": "RUNNING", "tasks": {"running": 2, "total": 2}}) == "RUNNING"


def test_checkpoints_that_fail_are_named() -> None:
    [problem] = job(seconds_ago=90).problems(NOW)
    assert problem.startswith("loans has completed no checkpoint since 11-28 11:58:30, 3 failed")
    [problem] = job(seconds_ago=None).problems(NOW)  # it has completed none at all
    assert "since 11-28 11:50:00" in problem


def test_what_is_wrong_with_the_topic_is_named() -> None:
    [problem] = job(problem="the topic is gone").problems(NOW)
    assert problem == "loans: the topic is gone"


def test_the_jobs_topic_is_the_one_that_kafka_has() -> None:
    assert topic_problem("t", "5db3", "table/5db3-4aa1") is None
    again = topic_problem("t", "77aa", "table/5db3-4aa1")
    assert again is not None and "made again" in again and "`make down up`" in again
    gone = topic_problem("t", None, "table/5db3-4aa1")
    assert gone is not None and "no topic t" in gone


def test_the_cause_is_the_first_of_javas_chain() -> None:
    trace = """java.lang.RuntimeException: One or more fetchers have failed
\tat org.apache.flink.Reader.poll(Reader.java:1)
Caused by: java.io.IOException: write
\tat a.b.C.d(C.java:2)
Caused by: java.net.ConnectException: Connection refused
\t... 3 more
"""
    assert root_cause(trace) == "java.net.ConnectException: Connection refused"
    again = "Caused by: [CIRCULAR REFERENCE: java.net.ConnectException: Connection refused]\n"
    assert root_cause(trace + again) == "java.net.ConnectException: Connection refused"
    assert root_cause("java.lang.Error: alone\n\tat a.b") == "java.lang.Error: alone"

"""What a user does with the job: savepoints, a stop, a start from elsewhere."""

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from streaming.bucket import Bucket
from streaming.errors import StreamingError
from streaming.flink_client import FlinkError, checkpoint_folder, get, post, root_cause
from streaming.job import read_job
from streaming.settings import JobSettings
from streaming.start import Start, Starts, savepoints_of

POLL_SECONDS = 0.2
# A job manager has to end, or to start and to complete a checkpoint.
TIMEOUT_SECONDS = 180
LOG = "`make status` shows what runs, `make logs SERVICE=flink-jobmanager` shows its log"
CANONICAL = "CANONICAL"  # it holds all of its state, and fits every state backend

T = TypeVar("T")


def write_savepoint(settings: JobSettings) -> str:
    """Have the job write a savepoint, and continue; its path.

    Raises StreamingError: the job does not run, or Flink could not write it.
    """
    job, folder = running_job(settings), savepoints_of(checkpoint_folder(settings))
    target = Bucket(settings).uri(folder)
    body = {"target-directory": target, "cancel-job": False, "formatType": CANONICAL}
    return outcome(settings, job, post(settings, f"/jobs/{job}/savepoints", body))


def stop(settings: JobSettings) -> str:
    """Stop the job with a savepoint; its path. Nothing is lost, and nothing starts it by itself.

    Raises StreamingError: the job does not run, or could not be stopped.
    """
    bucket, job = Bucket(settings), running_job(settings)
    starts, folder = starts_of(settings, bucket), savepoints_of(checkpoint_folder(settings))
    body = {"targetDirectory": bucket.uri(folder), "drain": False, "formatType": CANONICAL}
    trigger = post(settings, f"/jobs/{job}/stop", body)
    # Flink ends soon after the job: what it says of a failure is all that it is asked for.
    with suppress(FlinkError):
        outcome(settings, job, trigger)

    def stopped() -> str | None:
        found = starts.read()
        return found.path if found and found.stopped else None

    return wait_for(stopped, "Flink has not ended the job")


def newest_savepoint(settings: JobSettings) -> str:
    """The newest of the job, also of other SQL or another topic. Raises StreamingError."""
    bucket = Bucket(settings)
    found = bucket.complete(savepoints_of(name_of(settings)))
    if not found:
        raise StreamingError(
            "there is no savepoint", "`python -m streaming savepoint` writes one while the job runs"
        )
    return found[-1]


def restart(settings: JobSettings, path: str | None) -> None:
    """Have the job start from a savepoint, or from its topic's beginning; wait until it has.

    It runs from there once it has completed a checkpoint of its own. Raises StreamingError: it
    can't start from there, or Flink does not run.
    """
    starts = starts_of(settings, Bucket(settings))
    wanted = Start(path, asked=uuid.uuid4().hex)
    starts.write(wanted)

    def taken() -> bool | None:
        found = starts.read()
        if found is None or found.asked != wanted.asked:  # or another command replaced it
            return True
        if found.refused:
            raise StreamingError(found.refused)
        return None

    try:
        wait_for(taken, f"the job has not started from {wanted}")
    except StreamingError:
        starts.delete()  # else a start much later would take it
        raise


def running_job(settings: JobSettings) -> str:
    """Its id. Raises StreamingError: there is no job, or it does not run."""
    jobs = get(settings, "/jobs/overview")["jobs"]
    running = [str(job["jid"]) for job in jobs if job["state"] == "RUNNING"]
    if not running:
        states = ", ".join(job["state"].lower() for job in jobs) or "not there"
        raise StreamingError(
            f"the job does not run, it is {states}", "`python -m streaming status` says why"
        )
    return running[0]


def outcome(settings: JobSettings, job: str, trigger: dict[str, Any]) -> str:
    """Wait for a savepoint; its path. Flink itself ends what takes too long."""
    while True:
        asked = get(settings, f"/jobs/{job}/savepoints/{trigger['request-id']}")
        if asked["status"]["id"] == "COMPLETED":
            break
        time.sleep(POLL_SECONDS)
    done = asked["operation"]
    if "location" not in done:
        cause = root_cause(done["failure-cause"]["stack-trace"])
        raise StreamingError(f"Flink has written no savepoint: {cause}", LOG)
    return str(done["location"])


def wait_for(look: Callable[[], T | None], complaint: str) -> T:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise StreamingError(f"{complaint} within {TIMEOUT_SECONDS} s", LOG)
        time.sleep(POLL_SECONDS)
    return found


def name_of(settings: JobSettings) -> str:
    return read_job(settings, topic_id="").online_table


def starts_of(settings: JobSettings, bucket: Bucket) -> Starts:
    return Starts(bucket, name_of(settings))

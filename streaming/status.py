"""How the job is: Flink's own figures and Kafka's, and what is wrong with them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ingestion.errors import IngestionError
from streaming.bucket import Bucket
from streaming.errors import StreamingError
from streaming.flink_client import FlinkError, checkpoint_folder, get, root_cause
from streaming.job import read_job
from streaming.lag import read_lag
from streaming.run import find_topic
from streaming.settings import JobSettings, source_topic
from streaming.start import START_AGAIN, Starts

# Of an interval of 5 s (infra/flink/config.yaml): several have failed in a row.
OLD_CHECKPOINT = timedelta(minutes=1)
# What Flink's figures of tasks have apart from states in which nothing is processed.
COUNTED = ("running", "total")


@dataclass(frozen=True)
class Reading:
    """What the job reads: ``lag`` is None if Kafka does not answer, and ``problem`` says why."""

    lag: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class JobStatus:
    """One job of Flink's."""

    name: str
    state: str
    started: datetime
    failures: int
    checkpoint: datetime | None
    checkpoint_bytes: int
    failed_checkpoints: int
    last_failure: str | None
    reading: Reading

    def problems(self, now: datetime) -> list[str]:
        found = []
        newest = self.checkpoint or self.started
        if self.state != "RUNNING":
            why = f": {self.last_failure}" if self.last_failure else ""
            found.append(
                f"{self.name} is {self.state.lower()}{why}: see whether the services that it needs"
                " and both of Flink's processes run (`make status`)"
            )
        elif now - newest > OLD_CHECKPOINT:
            found.append(
                f"{self.name} has completed no checkpoint since {newest:%m-%d %H:%M:%S},"
                f" {self.failed_checkpoints} failed: see whether MinIO answers and has space"
            )
        if self.reading.problem:
            found.append(f"{self.name}: {self.reading.problem}")
        return found


def read_status(settings: JobSettings) -> list[JobStatus]:
    """All jobs. Raises StreamingError if Flink does not answer, and says if it was stopped."""
    try:
        jobs = get(settings, "/jobs/overview")["jobs"]
    except FlinkError:
        name = read_job(settings, topic_id="").online_table
        if (start := Starts(Bucket(settings), name).read()) and start.stopped:
            raise StreamingError(f"the job was stopped with {start}", START_AGAIN) from None
        raise
    return [read_job_status(settings, job) for job in jobs]


def read_job_status(settings: JobSettings, job: dict[str, Any]) -> JobStatus:
    checkpoints = get(settings, f"/jobs/{job['jid']}/checkpoints")
    exceptions = get(settings, f"/jobs/{job['jid']}/exceptions")["exceptionHistory"]["entries"]
    completed = checkpoints["latest"]["completed"]
    return JobStatus(
        name=job["name"],
        state=state_of(job),
        started=moment(job["start-time"]),
        failures=len(exceptions),
        checkpoint=moment(completed["latest_ack_timestamp"]) if completed else None,
        checkpoint_bytes=completed["state_size"] if completed else 0,
        failed_checkpoints=checkpoints["counts"]["failed"],
        last_failure=root_cause(exceptions[0]["stacktrace"]) if exceptions else None,
        reading=read_reading(settings, job["name"]),
    )


def state_of(job: dict[str, Any]) -> str:
    """Flink's word for the job, or for its tasks: without a task manager only they wait."""
    tasks: dict[str, int] = job["tasks"]
    waiting = [state for state, number in tasks.items() if number and state not in COUNTED]
    return waiting[0].upper() if job["state"] == "RUNNING" and waiting else str(job["state"])


def read_reading(settings: JobSettings, job: str) -> Reading:
    topic = source_topic(settings)
    try:
        lag = read_lag(settings, topic, job)
    except IngestionError as error:
        return Reading(problem=f"{error.message}; {error.hint}")
    return Reading(
        lag, topic_problem(topic, find_topic(settings, topic), folder=checkpoint_folder(settings))
    )


def topic_problem(topic: str, topic_id: str | None, folder: str) -> str | None:
    """The job's folder of checkpoints is named after the topic that it reads."""
    if topic_id is None:
        return (
            f"Kafka has no topic {topic}: `make up` starts the consumers, which make it, and the"
            " job begins at its beginning"
        )
    if not folder.rpartition("/")[2].startswith(topic_id):
        return (
            f"{topic} was deleted and made again, and the job still reads the former one:"
            " `make down up` starts it at the beginning"
        )
    return None


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)

"""How the job is: Flink's own figures, and what is wrong with them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from streaming.errors import StreamingError
from streaming.settings import JobSettings

TIMEOUT_SECONDS = 10
# Of an interval of 5 s (infra/flink/config.yaml): several have failed in a row.
OLD_CHECKPOINT = timedelta(minutes=1)


@dataclass(frozen=True)
class JobStatus:
    """One job of Flink's."""

    name: str
    state: str
    failures: int
    checkpoint: datetime | None
    checkpoint_bytes: int
    failed_checkpoints: int
    last_failure: str | None

    def problems(self, now: datetime) -> list[str]:
        found = []
        if self.state != "RUNNING":
            why = f": {self.last_failure}" if self.last_failure else ""
            found.append(f"{self.name} is {self.state.lower()}{why}")
        elif self.checkpoint is not None and now - self.checkpoint > OLD_CHECKPOINT:
            found.append(
                f"{self.name} has completed no checkpoint since {self.checkpoint:%m-%d %H:%M:%S},"
                f" {self.failed_checkpoints} failed: see whether MinIO answers and has space"
            )
        return found


def read_status(settings: JobSettings) -> list[JobStatus]:
    """All jobs. Raises StreamingError if Flink does not answer."""
    jobs = get(settings, "/jobs/overview")["jobs"]
    return [read_job_status(settings, job) for job in jobs]


def read_job_status(settings: JobSettings, job: dict[str, Any]) -> JobStatus:
    checkpoints = get(settings, f"/jobs/{job['jid']}/checkpoints")
    exceptions = get(settings, f"/jobs/{job['jid']}/exceptions")["exceptionHistory"]["entries"]
    completed = checkpoints["latest"]["completed"]
    return JobStatus(
        name=job["name"],
        state=job["state"],
        failures=len(exceptions),
        checkpoint=moment(completed["latest_ack_timestamp"]) if completed else None,
        checkpoint_bytes=completed["checkpointed_size"] if completed else 0,
        failed_checkpoints=checkpoints["counts"]["failed"],
        last_failure=root_cause(exceptions[0]["stacktrace"]) if exceptions else None,
    )


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def root_cause(stacktrace: str) -> str:
    """The line of a Java stack trace that says what was first."""
    lines = stacktrace.splitlines()
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return (causes or lines)[-1 if causes else 0][:300]


def get(settings: JobSettings, path: str) -> dict[str, Any]:
    try:
        answer = requests.get(settings.rest + path, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise StreamingError(
            f"Flink does not answer at {settings.rest}: {error}",
            "`make up SERVICE=flink` starts it, `make logs SERVICE=flink-jobmanager` shows its log",
        ) from None
    content: dict[str, Any] = answer.json()
    return content

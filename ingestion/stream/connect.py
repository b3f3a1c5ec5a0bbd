"""What Kafka Connect says of its connectors and their tasks."""

from dataclasses import dataclass

import requests

from ingestion.errors import ServiceError
from ingestion.settings import Settings

RUNNING = "RUNNING"


@dataclass(frozen=True)
class Worker:
    """A connector, or (with a number) one of its tasks; the state is Connect's own."""

    connector: str
    task: int | None
    state: str
    reason: str

    @property
    def name(self) -> str:
        """Its name for people."""
        task = "" if self.task is None else f" task {self.task}"
        return f"connector {self.connector}{task}"


def read_workers(settings: Settings) -> list[Worker]:
    """All connectors and their tasks.

    Raises:
        ServiceError: Connect cannot be reached.
    """
    try:
        answer = requests.get(f"{address(settings)}/connectors?expand=status", timeout=10)
        answer.raise_for_status()
        connectors = {name: one["status"] for name, one in answer.json().items()}
    except requests.RequestException as error:
        raise ServiceError(
            f"cannot reach Kafka Connect at {address(settings)}: {type(error).__name__}",
            "`make status` shows what runs, `make up` starts it",
        ) from None
    return [
        Worker(name, part.get("id"), part["state"], _reason(part.get("trace", "")))
        for name, status in sorted(connectors.items())
        for part in (status["connector"], *status["tasks"])
    ]


def address(settings: Settings) -> str:
    """Connect's REST interface."""
    return f"http://{settings.connect_host}:{settings.connect_port}"


def _reason(trace: str) -> str:
    """What a stack trace says: its last cause, for the first only says that it failed."""
    lines = trace.splitlines() or [""]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes or lines)[-1 if causes else 0].removeprefix("Caused by: ")

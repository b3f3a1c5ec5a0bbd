"""Flink's REST API."""

from typing import Any

import requests

from streaming.errors import StreamingError
from streaming.settings import JobSettings

TIMEOUT_SECONDS = 10


class FlinkError(StreamingError):
    """Flink does not answer, or refuses."""


def get(settings: JobSettings, path: str) -> Any:  # noqa: ANN401 (JSON)
    return ask(settings, "GET", path)


def post(settings: JobSettings, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 (JSON)
    return ask(settings, "POST", path, body)


def ask(settings: JobSettings, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 (JSON)
    """Its answer. Raises FlinkError."""
    try:
        answer = requests.request(method, settings.rest + path, json=body, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise FlinkError(
            f"Flink does not answer at {settings.rest}: {error}",
            "`make up SERVICE=flink` starts it, `make logs SERVICE=flink-jobmanager` shows its log",
        ) from None
    return answer.json()


def checkpoint_folder(settings: JobSettings) -> str:
    """Where the job that runs writes its checkpoints: a folder of the bucket."""
    options = {one["key"]: one["value"] for one in get(settings, "/jobmanager/config")}
    uri: str = options["execution.checkpointing.dir"]
    return uri.removeprefix(f"s3://{settings.flink_bucket}/")


def root_cause(stacktrace: str) -> str:
    """The line of a Java stack trace that says what was first."""
    lines = stacktrace.splitlines()
    causes = [
        line.removeprefix("Caused by: ")
        for line in lines
        # Java does not print a cause twice.
        if line.startswith("Caused by: ") and "[CIRCULAR REFERENCE" not in line
    ]
    return (causes or lines)[-1 if causes else 0][:300]

"""From where the job is to start, if not from its newest checkpoint: an object in its bucket.

A user's command writes it, and the process that runs the job takes it, wherever that is. It is
deleted once the job has completed a checkpoint of its own: until then each start takes it.
"""

import json
from dataclasses import asdict, dataclass

from streaming.bucket import METADATA, Bucket

SAVEPOINTS = "savepoints"
BEGINNING = "its beginning"
START_AGAIN = "`python -m streaming restore latest` starts it again, and so does `make down up`"


@dataclass(frozen=True)
class Start:
    """A savepoint, or the topic's beginning, if ``path`` is None.

    ``asked`` tells one command from another. ``stopped``: it is where the job was stopped, and
    is taken when Flink is started again. ``refused``: why it can't be taken.
    """

    path: str | None
    asked: str = ""
    stopped: bool = False
    refused: str = ""

    def __str__(self) -> str:
        return self.path or BEGINNING


class Starts:
    """The object of one job. A method raises StreamingError: see Bucket."""

    def __init__(self, bucket: Bucket, job: str) -> None:
        self.bucket, self.key = bucket, f"starts/{job}.json"

    def read(self) -> Start | None:
        content = self.bucket.get(self.key)
        return None if content is None else Start(**json.loads(content))

    def write(self, start: Start) -> None:
        self.bucket.put(self.key, json.dumps(asdict(start)).encode())

    def delete(self) -> None:
        self.bucket.delete([self.key])


def savepoints_of(folder: str) -> str:
    """Where savepoints are of the job with this folder of checkpoints."""
    return f"{SAVEPOINTS}/{folder}"


def why_not(start: Start, bucket: Bucket, folder: str) -> str:
    """Why a job can't start from there; empty if it can. Its checkpoints are in the folder."""
    if start.path is None:
        return ""
    folders = [folder, savepoints_of(folder)]
    if not start.path.startswith(tuple(bucket.uri(f"{one}/") for one in folders)):
        return (
            f"{start.path} does not fit the job: its SQL or its topic has changed since, or it is"
            " no savepoint of this job; `python -m streaming restore --from-beginning` starts it"
            " without one"
        )
    if bucket.get(f"{bucket.path(start.path)}{METADATA}") is None:
        return f"there is no savepoint {start.path}"
    return ""

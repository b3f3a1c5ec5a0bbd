"""What has landed of late: read from bronze itself, the only place that knows."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingestion.storage import Bronze, Stored
from ingestion.stream.object_keys import FOLDER, ROWS

RECENT = timedelta(minutes=1)
_THREADS = 8


@dataclass(frozen=True)
class RecentObjects:
    """A partition's objects of the last minute, and when the newest landed."""

    objects: int
    rows: int
    newest: datetime


def recently_landed(bronze: Bronze, topic: str) -> dict[int, RecentObjects]:
    """Per partition that has objects in the newest two hours of the topic.

    An object's row count is in its metadata, which takes one request per object; so rows
    are counted for the last minute only: a busy partition lands one object a second.
    """
    objects = defaultdict(list)
    for folder in _newest_folders(bronze, topic):
        for stored in bronze.objects(f"{folder}/"):
            objects[_partition(stored.key)].append(stored)
    since = datetime.now(UTC) - RECENT
    return {number: _landed(bronze, found, since) for number, found in sorted(objects.items())}


def _newest_folders(bronze: Bronze, topic: str) -> list[str]:
    """The folders of the newest two hours of which there are changes."""
    hours: list[str] = []
    for day in reversed(bronze.folders(f"{FOLDER}/{topic}")):
        hours += reversed(bronze.folders(day))
        if len(hours) >= 2:
            break
    return hours[:2]


def _partition(key: str) -> int:
    return int(key.rsplit("/", 1)[1].split("+")[2])


def _landed(bronze: Bronze, objects: list[Stored], since: datetime) -> RecentObjects:
    recent = [stored.key for stored in objects if stored.landed_at >= since]
    with ThreadPoolExecutor(_THREADS) as threads:
        rows = threads.map(lambda key: int(bronze.metadata(key).get(ROWS, 0)), recent)
        newest = max(stored.landed_at for stored in objects)
        return RecentObjects(len(recent), sum(rows), newest)

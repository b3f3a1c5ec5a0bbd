"""Flink's job into tables that keep nothing: how fast it is without PostgreSQL.

As a script it is the job manager of that job. The task manager is the stack's, and has one
slot: the stack's own job must be stopped.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.native.stack import Supervisor
from infra.paths import REPO
from infra.provision import environment
from ingestion.stream.client import open_admin
from streaming.bucket import Bucket
from streaming.checkpoints import Checkpoints
from streaming.definitions import read_definitions
from streaming.errors import StreamingError
from streaming.flink_client import ask, get
from streaming.job import Job, write_script
from streaming.lag import group_of
from streaming.run import command, find_topic
from streaming.savepoints import running_job
from streaming.settings import job_settings, source_topic

# The options of a table in PostgreSQL.
IN_POSTGRES = re.compile(r"WITH \(\s*'connector' = 'jdbc',.*?\n\)", re.DOTALL)
# Flink's metric of the last record that a source has read.
OFFSET = re.compile(r"\.partition\.(\d+)\.currentOffset")
STOP_SECONDS = 60
# Flink's REST API answers with figures that are so old; by default it is 10 s.
FRESH_METRICS = ("-D", "metrics.fetcher.update-interval=100")


class BlackholeJob(Job):
    """The same job under a name of its own, by which its consumer group and checkpoints are."""

    @property
    def online_table(self) -> str:
        return f"{super().online_table}_blackhole"

    def sql(self) -> str:
        return into_blackhole(super().sql())


def into_blackhole(script: str) -> str:
    """The script, its tables in PostgreSQL replaced by tables that keep nothing."""
    replaced = IN_POSTGRES.sub("WITH (\n    'connector' = 'blackhole'\n)", script)
    assert "jdbc" not in replaced, "a table of the job has other options"
    return replaced


def read_blackhole_job() -> BlackholeJob:
    settings = job_settings()
    topic = source_topic(settings)
    topic_id = find_topic(settings, topic)
    assert topic_id, f"there is no topic {topic}"
    return BlackholeJob(settings, topic, topic_id, read_definitions())


@contextmanager
def blackhole_job() -> Iterator[tuple[BlackholeJob, int]]:
    """Run it during the block, from the topic's beginning: the job and its job manager's pid."""
    job = read_blackhole_job()
    # With supervisor's variable, `make down` also ends it.
    env = {**os.environ, **Supervisor(environment()).env}
    job_manager = [sys.executable, "-m", "tests.bench.blackhole"]
    with (Path(env["LAKEHOUSE_STATE"]) / "logs/flink-blackhole.log").open("w") as log:
        process = subprocess.Popen(job_manager, cwd=REPO, env=env, stdout=log, stderr=log)
    try:
        yield job, process.pid
    finally:
        cancel(job, process)
        forget(job)


def read_offsets() -> dict[int, int]:
    """The offset of the last record that the job has read, by partition; none while it starts."""
    settings = job_settings()
    try:
        job = f"/jobs/{running_job(settings)}"
        source = get(settings, job)["vertices"][0]["id"]
        metrics = f"{job}/vertices/{source}/subtasks/metrics"
        names = [one["id"] for one in get(settings, metrics) if OFFSET.search(one["id"])]
        values = get(settings, f"{metrics}?agg=max&get={','.join(names)}") if names else []
    except StreamingError:
        return {}
    return {int(OFFSET.findall(one["id"])[0]): int(one["max"]) for one in values}


def cancel(job: BlackholeJob, process: "subprocess.Popen[bytes]") -> None:
    """End the job, by which its job manager ends."""
    with suppress(StreamingError, subprocess.TimeoutExpired):  # it may not have begun
        ask(job.settings, "PATCH", f"/jobs/{running_job(job.settings)}?mode=cancel")
        process.wait(STOP_SECONDS)
    process.terminate()
    process.wait()


def forget(job: BlackholeJob) -> None:
    """Delete its checkpoints, its script and its consumer group."""
    bucket = Bucket(job.settings)
    bucket.delete(bucket.keys(job.online_table))
    write_script(job).unlink()
    with open_admin(job.settings) as admin:
        admin.delete_groups([group_of(job.online_table)])


def main() -> None:
    job = read_blackhole_job()
    checkpoints = Checkpoints(Bucket(job.settings), job.checkpoints())
    program, role, *arguments = command(job, checkpoints, None)
    os.execv(program, [program, role, *FRESH_METRICS, *arguments])


if __name__ == "__main__":
    main()

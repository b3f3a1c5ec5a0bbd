"""Runs the job: what supervisor starts, and starts again when it ends.

Each start is a recovery: it continues from the newest complete checkpoint, if there is one.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka.errors import KafkaError

from ingestion.errors import ServiceError
from ingestion.settings import Settings
from ingestion.stream.client import open_admin
from streaming.checkpoints import Checkpoints
from streaming.job import Job, ensure_tables, read_job, write_script
from streaming.settings import JobSettings, source_topic

# The program that starts one of Flink's processes.
FLINK = Path("native/bin/flink")
SQL_APPLICATION = "org.apache.flink.table.runtime.application.SqlDriver"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# How soon a topic that was deleted and made again is noticed.
TOPIC_CHECK_SECONDS = 10.0

Report = Callable[[str], None]


def run_job(settings: JobSettings, report: Report) -> int:
    """Run the job until it ends, or its topic is another one; its exit code.

    Raises StreamingError or IngestionError: a service cannot be reached, or refuses.
    """
    topic = source_topic(settings)
    topic_id = wait_for_topic(settings, topic, report)
    job = read_job(settings, topic_id)
    ensure_tables(job)
    checkpoints = Checkpoints(settings, job.checkpoints())
    newest = checkpoints.newest()
    checkpoints.forget_others(newest)
    report(f"{topic}: from {newest or 'its beginning: there is no checkpoint of this job'}")
    with forwarding_signals(command(job, checkpoints, newest)) as process:
        while process.poll() is None:
            try:
                process.wait(TOPIC_CHECK_SECONDS)
            except subprocess.TimeoutExpired:
                if find_topic(settings, topic) not in (topic_id, None):
                    report(f"{topic} was made again: the job begins at its beginning")
                    process.terminate()
    return process.returncode


def command(job: Job, checkpoints: Checkpoints, newest: str | None) -> list[str]:
    program = Path(os.environ["INFRA"]) / FLINK
    arguments = ["--job-classname", SQL_APPLICATION]
    if newest:
        arguments += ["--fromSavepoint", newest]
    arguments += ["-D", f"execution.checkpointing.dir={checkpoints.uri(checkpoints.prefix)}"]
    arguments += ["-D", f"pipeline.name={job.online_table}"]
    return [str(program), "jobmanager", *arguments, "--scriptUri", write_script(job).as_uri()]


def wait_for_topic(settings: JobSettings, topic: str, report: Report) -> str:
    """The topic's id, once the consumers have made it."""
    found = find_topic(settings, topic)
    if found is None:
        report(f"waiting for the topic {topic}, which the consumers make")
    while found is None:
        time.sleep(1)
        found = find_topic(settings, topic)
    return found


def find_topic(settings: Settings, topic: str) -> str | None:
    """The topic's id as bronze has it, 32 hex digits; None while Kafka does not say."""
    try:
        with open_admin(settings) as admin:
            [described] = admin.describe_topics([topic])
    except (ServiceError, KafkaError):
        return None
    return str(described["topic_id"]).replace("-", "") if described["error_code"] == 0 else None


@contextmanager
def forwarding_signals(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that gets the signals that this one gets, and has ended when the block has.

    It also ends when this one is killed: else it would hold the ports of the next one.
    """
    process = subprocess.Popen(command, preexec_fn=end_with_parent)  # noqa: PLW1509 (no threads)
    before = {
        number: signal.signal(number, lambda received, _: process.send_signal(received))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """Have the kernel end this process when its parent has ended: prctl(2)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

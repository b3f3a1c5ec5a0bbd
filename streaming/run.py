"""Runs the job: what supervisor starts, and starts again when it ends.

Each start is a recovery: it continues from the newest complete checkpoint, if there is one, or
from where a user has it start.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from kafka.errors import KafkaError

from infra.parent import end_with_parent
from ingestion.errors import ServiceError
from ingestion.settings import Settings
from ingestion.stream.client import open_admin
from streaming.bucket import Bucket
from streaming.checkpoints import Checkpoints
from streaming.errors import StreamingError
from streaming.job import Job, ensure_tables, read_job, write_script
from streaming.settings import JobSettings, source_topic
from streaming.start import BEGINNING, START_AGAIN, Start, Starts, savepoints_of, why_not

# The program that starts one of Flink's processes.
FLINK = Path("native/bin/flink")
SQL_APPLICATION = "org.apache.flink.table.runtime.application.SqlDriver"
# How soon a topic that was deleted and made again is noticed.
TOPIC_CHECK_SECONDS = 10.0
# The same for a command of a user's.
START_CHECK_SECONDS = 2.0

Report = Callable[[str], None]


def run_job(settings: JobSettings, report: Report) -> int:
    """Run the job until it ends by itself, or has to start elsewhere; its exit code.

    One that was stopped is started again when a user wants it. Raises StreamingError or
    IngestionError: a service cannot be reached, or refuses.
    """
    topic = source_topic(settings)
    while True:
        job = read_job(settings, wait_for_topic(settings, topic, report))
        ensure_tables(job)
        one = JobRun(job, report)
        if code := one.run():
            return code
        one.wait_for_start()


class JobRun:
    """One start of the job, until its end."""

    def __init__(self, job: Job, report: Report) -> None:
        self.job, self.report = job, report
        self.bucket = Bucket(job.settings)
        self.checkpoints = Checkpoints(self.bucket, job.checkpoints())
        self.starts = Starts(self.bucket, job.online_table)
        self.newest = self.checkpoints.newest()
        self.checkpoints.forget_others(self.newest)
        self.start = self.first_start()

    def first_start(self) -> Start | None:
        """From where a user, or the stop before, has it start; None: its newest checkpoint."""
        found = self.starts.read()
        if found is None or found.refused:
            return None
        if reason := why_not(found, self.bucket, self.checkpoints.folder):
            self.refuse(found, reason)
            return None
        if found.stopped:  # no more
            found = replace(found, stopped=False)
            self.starts.write(found)
        return found

    def refuse(self, start: Start, reason: str) -> None:
        self.report(reason)
        if start.stopped:
            self.starts.delete()  # no user waits for an answer
        else:
            self.starts.write(replace(start, refused=reason))

    def run(self) -> int:
        """Its exit code: 0 if it was stopped or cancelled, for it never ends otherwise."""
        origin = self.start.path if self.start else self.newest
        none = f"{BEGINNING}: " + ("as asked" if self.start else "it has no checkpoint")
        self.report(f"{self.job.topic}: from {origin or none}")
        check_topic = time.monotonic() + TOPIC_CHECK_SECONDS
        with forwarding_signals(command(self.job, self.checkpoints, origin)) as process:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(START_CHECK_SECONDS)
                # While MinIO does not answer, the job waits for it, and so does this.
                with suppress(StreamingError):
                    self.forget_start()
                    if self.is_to_start_elsewhere():
                        break  # which ends it
                if time.monotonic() > check_topic:
                    check_topic = time.monotonic() + TOPIC_CHECK_SECONDS
                    self.check_topic(process)
        return process.returncode

    def forget_start(self) -> None:
        """Once the job has a checkpoint, that is where the next start begins."""
        if self.start and self.checkpoints.newest() not in (self.newest, None):
            if self.starts.read() == self.start:
                self.starts.delete()
            self.start = None

    def is_to_start_elsewhere(self) -> bool:
        found = self.starts.read()
        if found is None or found.refused or found.stopped or found == self.start:
            return False
        if reason := why_not(found, self.bucket, self.checkpoints.folder):
            self.refuse(found, reason)
            return False
        self.report(f"the job ends, to start from {found}")
        return True

    def check_topic(self, process: "subprocess.Popen[bytes]") -> None:
        topic = self.job.topic
        if find_topic(self.job.settings, topic) not in (self.job.topic_id, None):
            self.report(f"{topic} was made again: the job begins at its beginning")
            process.terminate()

    def wait_for_start(self) -> None:
        """Store where the job was stopped, for its next start, and wait for a user's command."""
        folders = [self.checkpoints.folder, savepoints_of(self.checkpoints.folder)]
        complete = self.bucket.complete(*folders)
        stopped = Start(complete[-1] if complete else None, stopped=True)
        self.starts.write(stopped)
        self.report(f"the job was stopped: {START_AGAIN}")
        while not self.is_wanted_again(stopped):
            time.sleep(START_CHECK_SECONDS)

    def is_wanted_again(self, stopped: Start) -> bool:
        with suppress(StreamingError):  # as long as MinIO does not answer
            found = self.starts.read()
            if found is None:  # a command that was refused was in its place
                self.starts.write(stopped)
            elif not found.stopped and not found.refused:
                if not (reason := why_not(found, self.bucket, self.checkpoints.folder)):
                    return True
                self.refuse(found, reason)
        return False


def command(job: Job, checkpoints: Checkpoints, origin: str | None) -> list[str]:
    program = Path(os.environ["INFRA"]) / FLINK
    arguments = ["--job-classname", SQL_APPLICATION]
    if origin:
        arguments += ["--fromSavepoint", origin]
    arguments += ["-D", f"execution.checkpointing.dir={checkpoints.uri}"]
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

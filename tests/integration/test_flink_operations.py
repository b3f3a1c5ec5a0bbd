"""Flink's job in operation: its lag, its checkpoints, its savepoints."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from infra.paths import REPO
from infra.services import flink_healthy
from ingestion.settings import get_settings
from streaming.bucket import Bucket
from streaming.checkpoints import Checkpoints
from streaming.job import connect
from streaming.lag import read_lag
from streaming.settings import SCHEMA, JobSettings, job_settings
from streaming.start import savepoints_of
from tests.integration.changes import eventually
from tests.integration.conftest import open_corner
from tests.integration.flink_cluster import FlinkCluster, flink_cluster
from tests.integration.flink_topic import Topic
from tests.stack import free_port


@dataclass
class Scene:
    """A job over a topic of its own, under a name of its own."""

    flink: FlinkCluster
    topic: Topic
    settings: JobSettings
    job: str

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin to run `python -m streaming`."""
        return subprocess.Popen(
            [sys.executable, "-m", "streaming", *arguments],
            cwd=REPO,
            env={**self.flink.env, "COLUMNS": "200"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run it; what it prints."""
        return self.end(self.begin(*arguments), code)

    def end(self, process: "subprocess.Popen[str]", code: int = 0) -> str:
        printed = process.communicate()[0]
        assert process.returncode == code, printed
        return printed

    def restore_while_it_runs(self, *arguments: str) -> str:
        """The job's process ends for it, and the test starts it again, as supervisor does."""
        job_manager = self.flink.processes["jobmanager"]
        process = self.begin("restore", *arguments)
        eventually(lambda: job_manager.poll() is not None, "the job manager has ended")
        self.flink.start("jobmanager")
        return self.end(process)

    def sql(self, statement: str) -> list[tuple[int, ...]]:
        """Run a statement, in which `online` is the job's table, as Flink's user."""
        connection = connect(self.settings)
        with connection, connection.cursor() as cursor:
            cursor.execute(statement.replace("online", f"{SCHEMA}.{self.job}"))
            rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows

    def wait_for(self, key: int, score: int) -> None:
        query = f"select credit_score from online where application_id = {key}"
        eventually(lambda: self.sql(query) == [(score,)], f"{key} has the score {score}")

    def lag(self) -> int:
        return read_lag(self.settings, self.topic.name, self.job)

    def wait_until_read(self) -> None:
        eventually(lambda: self.lag() == 0, "a checkpoint has all that was sent")


@pytest.fixture(scope="module")
def scene(stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with open_corner(get_settings(), tmp_path_factory.mktemp("corner")) as corner:
        topic = Topic(corner)
        # All that the job reads of it is its project's name.
        repo = tmp_path_factory.mktemp("feast")
        (repo / "feature_store.yaml").write_text(f"project: {corner.schema}\n")
        environment = {**topic.environment, "FEAST_REPO": str(repo)}
        with flink_cluster(tmp_path_factory.mktemp("flink"), environment) as flink:
            settings = JobSettings.model_validate(
                {name.lower(): value for name, value in {**os.environ, **flink.env}.items()}
            )
            scene = Scene(flink, topic, settings, f"{corner.schema}_application")
            yield scene
        topic.delete()
        bucket = Bucket(settings)
        for folder in (scene.job, savepoints_of(scene.job)):
            bucket.delete(bucket.keys(folder))


def test_lag_is_what_the_newest_checkpoint_lacks(scene: Scene) -> None:
    scene.topic.score(1, 501)
    scene.wait_until_read()
    scene.flink.kill("taskmanager")
    for key in range(5):
        scene.topic.score(2 * key, 502)
    assert scene.lag() == 10  # a transaction ends with a marker, which has an offset, too
    eventually(lambda: not flink_healthy(scene.flink.env), "Flink has noticed it")
    assert f"{scene.job} is " in scene.run("status", code=1)
    scene.flink.start("taskmanager")
    scene.flink.wait()
    scene.wait_until_read()
    printed = scene.run("status")
    assert "running" in printed and "s ago" in printed and printed.split()[-1] == "0"


def test_what_was_not_committed_is_no_lag(scene: Scene) -> None:
    scene.topic.score(1, 503)
    scene.wait_until_read()
    scene.topic.producer.begin_transaction()
    scene.topic.producer.send(scene.topic.name, b"{}", b"1", partition=1)
    scene.topic.producer.flush()
    assert scene.lag() == 0
    scene.topic.producer.abort_transaction()
    assert scene.lag() == 0


def test_a_savepoint_leaves_the_job_running(scene: Scene) -> None:
    path = scene.run("savepoint").strip()
    assert path.startswith(f"s3://flink/savepoints/{scene.job}/")
    scene.topic.score(2, 504)
    scene.wait_for(2, 504)


def test_a_stopped_job_waits_and_continues_where_it_was_stopped(scene: Scene) -> None:
    scene.topic.score(2, 505)
    scene.wait_for(2, 505)
    path = scene.run("stop").splitlines()[0]
    scene.topic.score(2, 506)
    assert f"was stopped with {path}" in scene.run("status", code=1)
    assert "does not fit the job" in scene.run("restore", "s3://flink/other", code=1)
    assert scene.sql("select credit_score from online where application_id = 2") == [(505,)]
    assert not flink_healthy(scene.flink.env)
    assert f"the job runs from {path}" in scene.run("restore", "latest")
    assert scene.flink.log("jobmanager").count(f"{scene.topic.name}: from {path}") == 1
    scene.wait_for(2, 506)
    scene.run("status")


def test_flinks_next_start_continues_where_the_job_was_stopped(scene: Scene) -> None:
    path = scene.run("stop").splitlines()[0]
    scene.topic.score(2, 507)
    scene.flink.kill("jobmanager")
    scene.flink.start("jobmanager")
    scene.flink.wait()
    scene.wait_for(2, 507)
    assert f"{scene.topic.name}: from {path}" in scene.flink.log("jobmanager")


def test_a_start_from_the_beginning_reads_all_again(scene: Scene) -> None:
    scene.topic.score(2, 508)
    scene.wait_for(2, 508)
    scene.wait_until_read()
    scene.sql("delete from online")
    assert "the job runs from its beginning" in scene.restore_while_it_runs("--from-beginning")
    assert scene.flink.log("jobmanager").count("the job ends, to start from its beginning") == 1
    scene.wait_for(2, 508)


@pytest.mark.slow
def test_a_start_that_was_asked_for_is_taken_until_there_is_a_checkpoint(scene: Scene) -> None:
    """And then no more: a job manager that is killed continues from the newest checkpoint."""
    path = scene.run("savepoint").strip()
    before = scene.flink.log("jobmanager")
    scene.restore_while_it_runs(path)
    scene.flink.kill("jobmanager")
    scene.flink.start("jobmanager")
    scene.flink.wait()
    log = scene.flink.log("jobmanager").removeprefix(before)
    starts = [line for line in log.splitlines() if line.startswith(f"{scene.topic.name}: from ")]
    assert starts[0].endswith(path)
    assert "/chk-" in starts[1]


def test_a_savepoint_that_does_not_fit_is_refused_and_the_job_runs(scene: Scene) -> None:
    other = f"s3://flink/savepoints/{scene.job}/another-job/savepoint-1"
    printed = scene.run("restore", other, code=1)
    assert f"{other} does not fit the job" in printed
    assert "`python -m streaming restore --from-beginning`" in printed
    missing = scene.run("savepoint").strip() + "0"
    assert f"there is no savepoint {missing}" in scene.run("restore", missing, code=1)
    scene.topic.score(2, 509)
    scene.wait_for(2, 509)


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("choice", "code", "sentence"), [("0", 99, "FLINK=0"), ("1", 1, "Flink does not answer at")]
)
def test_a_flink_that_was_left_out_is_no_problem(choice: str, code: int, sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streaming", "status"],
        cwd=REPO,
        env={**os.environ, "FLINK": choice, "FLINK_PORT": str(free_port())},
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr


@pytest.fixture
def kept() -> Iterator[Checkpoints]:
    """A job's checkpoints: of two starts, of the job as it was before, and a savepoint."""
    bucket, job = Bucket(job_settings()), f"test_{uuid.uuid4().hex}"
    checkpoints = Checkpoints(bucket, f"{job}/topic-sql")
    for key in (
        f"{job}/topic-before/1/chk-9/_metadata",
        f"{checkpoints.folder}/2/chk-1/_metadata",
        f"{checkpoints.folder}/3/shared/state",
        f"{checkpoints.folder}/3/chk-7/_metadata",
        f"{checkpoints.folder}/4/chk-8/half-made",
        f"{savepoints_of(job)}/topic-before/savepoint-1/_metadata",
        f"{job}_truncated/topic-sql/1/chk-1/_metadata",
    ):
        bucket.put(key, b"")
    yield checkpoints
    for folder in (job, savepoints_of(job), f"{job}_truncated"):
        bucket.delete(bucket.keys(folder))


def left(checkpoints: Checkpoints) -> list[str]:
    job = checkpoints.folder.partition("/")[0]
    return sorted(key.partition("/")[2] for key in checkpoints.bucket.keys(job))


@pytest.mark.usefixtures("stack")
def test_a_start_with_a_checkpoint_keeps_nothing_else(kept: Checkpoints) -> None:
    job = kept.folder.partition("/")[0]
    newest = kept.newest()
    assert newest == f"{kept.uri}/3/chk-7"
    kept.forget_others(newest)
    assert left(kept) == ["topic-sql/3/chk-7/_metadata", "topic-sql/3/shared/state"]
    assert kept.bucket.keys(savepoints_of(job))
    assert kept.bucket.keys(f"{job}_truncated")


@pytest.mark.usefixtures("stack")
def test_without_a_checkpoint_what_the_job_was_before_is_kept(kept: Checkpoints) -> None:
    kept.forget_others(None)
    assert left(kept) == ["topic-before/1/chk-9/_metadata"]

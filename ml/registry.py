"""MLflow's registry: versions, and the two aliases that say which of them decides.

A version gets an alias only after all of its evidence is stored: what a killed run leaves is a
version without one, which nothing looks at.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import requests
from mlflow.entities import RunInfo
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException, RestException
from mlflow.tracking import MlflowClient

from ml.artifacts import CARD, REPORTS
from ml.errors import MlError
from ml.settings import TrainingSettings, setting

COMPLETE, GATES, WHY, PREVIOUS = "complete", "gates", "why_not", "previous_champion"
PASSED, FAILED = "passed", "failed"


@dataclass(frozen=True)
class Registry:
    """The registered model of the settings, on the stack's MLflow."""

    client: MlflowClient
    model: str
    champion_alias: str
    challenger_alias: str
    url: str

    def by_alias(self, alias: str) -> ModelVersion | None:
        try:
            return self.client.get_model_version_by_alias(self.model, alias)
        except RestException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def champion(self) -> ModelVersion:
        """The version that decides. Raises MlError if there is none."""
        if found := self.by_alias(self.champion_alias):
            return found
        raise MlError("there is no champion", "`make train`, or `python -m ml promote --version N`")

    def version(self, number: int) -> ModelVersion:
        """A version whose evidence is complete. Raises MlError if there is none."""
        try:
            found = self.client.get_model_version(self.model, str(number))
        except RestException:
            raise MlError(
                f"{self.model} has no version {number}", f"see {self.url}, or `python -m ml list`"
            ) from None
        if found.tags.get(COMPLETE) != "true":
            raise MlError(
                f"version {number} is not complete: its run was interrupted", "`make train` again"
            )
        return found

    def promote(self, found: ModelVersion) -> None:
        """Let this version decide from now on, and remember which one did before."""
        before = self.by_alias(self.champion_alias)
        if before and before.version == found.version:
            return
        # First, so that one that is interrupted here can still be taken back.
        previous = str(before.version) if before else ""
        self.client.set_model_version_tag(self.model, found.version, PREVIOUS, previous)
        self.client.set_registered_model_alias(self.model, self.champion_alias, found.version)
        challenger = self.by_alias(self.challenger_alias)
        if challenger and challenger.version == found.version:
            self.client.delete_registered_model_alias(self.model, self.challenger_alias)

    def rollback(self) -> ModelVersion:
        """Let the champion before this one decide again. Raises MlError if there is none."""
        now = self.champion()
        previous = now.tags.get(PREVIOUS)
        if not previous:
            raise MlError(f"there was no champion before version {now.version}", "promote one")
        found = self.version(int(previous))
        self.client.set_registered_model_alias(self.model, self.champion_alias, found.version)
        return found

    def artifact(self, version: ModelVersion, name: str) -> bytes:
        """The content of one of a version's artifacts."""
        with tempfile.TemporaryDirectory() as folder:
            file = self.client.download_artifacts(str(version.run_id), name, folder)
            return Path(file).read_bytes()

    def has_artifact(self, version: ModelVersion, name: str) -> bool:
        found = self.client.list_artifacts(str(version.run_id))
        return name in [artifact.path for artifact in found]

    def page(self, version: ModelVersion) -> str:
        return f"{self.url}/#/models/{self.model}/versions/{version.version}"

    def artifact_page(self, run: RunInfo, name: str) -> str:
        """Where the UI shows a file or a folder of a run; a folder may come later."""
        return f"{self.url}/#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/{name}"

    def describe(self, version: ModelVersion) -> None:
        """Have the version's page link its card and the place of its monitoring reports."""
        run = self.client.get_run(str(version.run_id)).info
        links = {"Model card": CARD, "weekly monitoring reports": REPORTS}
        texts = (f"[{what}]({self.artifact_page(run, name)})" for what, name in links.items())
        self.client.update_model_version(self.model, version.version, ", ".join(texts))


@contextmanager
def connected(env: dict[str, str], settings: TrainingSettings) -> Iterator[Registry]:
    """The stack's registry. What MLflow refuses becomes an MlError."""
    url = f"http://{setting(env, 'MLFLOW_HOST')}:{setting(env, 'MLFLOW_PORT')}"
    os.environ["MLFLOW_TRACKING_USERNAME"] = setting(env, "MLFLOW_ADMIN_USER")
    os.environ["MLFLOW_TRACKING_PASSWORD"] = setting(env, "MLFLOW_ADMIN_PASSWORD")
    os.environ["NO_PROXY"] = ",".join(filter(None, [env.get("NO_PROXY"), "127.0.0.1"]))
    # Through MLflow: by default its client reads from MinIO by an address that the server knows,
    # which only a container can resolve, and in Kubernetes the scoring server may not reach.
    os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"] = "false"
    check_there(url, env)
    mlflow.set_tracking_uri(url)
    tracking = settings.tracking
    client = MlflowClient(url, url)
    try:
        yield Registry(client, settings.model, tracking.champion, tracking.challenger, url)
    # An artifact that breaks off is an error of requests.
    except (MlflowException, requests.RequestException) as error:
        raise MlError(
            f"MLflow at {url}: {' '.join(str(error).split())}",
            "`make status` shows whether it, postgres and minio run, `make logs SERVICE=mlflow`"
            " its side; what was begun is never champion: run it again",
        ) from None


def check_there(url: str, env: dict[str, str]) -> None:
    then = "`make up` starts it"
    if env.get("MLFLOW") == "0":
        then = "it is left out: `make up MLFLOW=1`"
    try:
        requests.get(f"{url}/health", timeout=10).raise_for_status()
    except requests.RequestException:
        raise MlError(f"MLflow does not answer at {url}", then) from None

"""The settings of the job: those of ingestion, whose topic it reads, and its own."""

import os
from pathlib import Path

import yaml
from pydantic import SecretStr

from ingestion.errors import SettingsError
from ingestion.options import DEFAULT_FILE
from ingestion.settings import REPOSITORY, Settings, read_settings
from ingestion.stream.topics import topic_of
from ingestion.tables import Table, load_tables

TABLE = "loan_applications"
# Where what the job writes is, and what it describes, as feast_repo names them.
SCHEMA = "streaming"
ENTITY = "application"
ACTIVITY = "segment_activity"


class JobSettings(Settings):
    """Hosts, ports, users and names (see ``.env.example``)."""

    feast_db: str
    flink_db_user: str
    flink_db_password: SecretStr
    flink_bucket: str
    flink_s3_access_key: str
    flink_s3_secret_key: SecretStr
    flink_host: str
    flink_port: int
    lakehouse_state: str
    # False: `make up` leaves it out.
    flink: bool = True

    @property
    def rest(self) -> str:
        return f"http://{self.flink_host}:{self.flink_port}"

    @property
    def folder(self) -> Path:
        """Where the rendered job is kept."""
        return REPOSITORY / self.lakehouse_state / "run/streaming"


def job_settings() -> JobSettings:
    """Raises SettingsError: a setting is missing or malformed."""
    return read_settings(JobSettings)


def source_table() -> Table:
    """The table whose changes the job reads. Tests name a tables file of their own.

    Raises SettingsError: the tables file has no such table.
    """
    file = Path(os.environ.get("INGESTION_TABLES_FILE") or DEFAULT_FILE)
    for table in load_tables(file).tables:
        if table.source.rpartition(".")[2] == TABLE:
            return table
    raise SettingsError(f"{file} has no entry for the table {TABLE}")


def source_topic(settings: JobSettings) -> str:
    return topic_of(settings, source_table())


def feast_project() -> str:
    """The project that the features are of. Tests name a repository of their own."""
    repo = Path(os.environ.get("FEAST_REPO") or REPOSITORY / "feast_repo")
    return str(yaml.safe_load((repo / "feature_store.yaml").read_text())["project"])

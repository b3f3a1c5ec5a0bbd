"""Where the services are: read from the environment, then from the env file."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingestion.errors import SettingsError

REPOSITORY = Path(__file__).resolve().parent.parent


# What the S3 client accepts: its own complaint would be a traceback.
_ENDPOINT = re.compile(r"https?://([a-zA-Z0-9.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/?")


def _endpoint(value: str) -> str:
    if not _ENDPOINT.fullmatch(value):
        raise ValueError(f"must be like http://127.0.0.1:9000, not {value!r}")
    return value


class Settings(BaseSettings):
    """Hosts, ports, users and names of one lakehouse (see ``.env.example``)."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    postgres_host: str
    postgres_port: int
    # libpq's own names, which psql and every other libpq client read, too.
    pgsslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
    pgsslrootcert: str = ""
    source_db: str
    source_owner_user: str
    source_owner_password: SecretStr
    source_reader_user: str
    source_reader_password: SecretStr
    source_capture_user: str
    source_capture_password: SecretStr

    s3_endpoint: Annotated[str, AfterValidator(_endpoint)]
    s3_region: str
    bronze_bucket: str
    ingestion_s3_access_key: str
    ingestion_s3_secret_key: SecretStr

    kafka_host: str
    kafka_port: int
    connect_host: str
    connect_port: int
    stream_topic_prefix: str
    stream_publication: str
    stream_slot: str
    stream_group: str
    stream_consumers: Annotated[int, Field(ge=1, le=64)]

    trino_host: str
    trino_port: int
    trino_user: str = "ingestion"


SettingsType = TypeVar("SettingsType", bound=Settings)


def env_file() -> Path:
    """The file named by ``ENV_FILE``, relative to the repository; else its ``.env``."""
    return REPOSITORY / (os.environ.get("ENV_FILE") or ".env")


def get_settings() -> Settings:
    """Read the settings: see ``read_settings``."""
    return read_settings(Settings)


def read_settings(kind: type[SettingsType]) -> SettingsType:
    """Read the settings of a kind.

    Raises:
        SettingsError: the file is not there, or a setting is missing or malformed.
    """
    path = env_file()
    try:
        # The fields come from the environment, which mypy cannot know.
        return kind(_env_file=path, _env_file_encoding="utf-8")  # type: ignore[call-arg]
    except ValidationError as error:
        if not path.is_file():
            problem = f"the settings file {path} does not exist"
        else:
            wrong = (
                f"{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ').lower()}"
                for e in error.errors()
            )
            problem = f"wrong settings in {path}: {'; '.join(wrong)}"
        raise SettingsError(
            problem,
            "`make env` writes .env from .env.example; ENV_FILE names another file",
        ) from None

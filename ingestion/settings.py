"""Where the services are: read from the environment, then from the env file."""

import os
from pathlib import Path

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingestion.errors import SettingsError

REPOSITORY = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Hosts, ports, users and names of one lakehouse (see ``.env.example``)."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    postgres_host: str
    postgres_port: int
    source_db: str
    source_owner_user: str
    source_owner_password: SecretStr
    source_reader_user: str
    source_reader_password: SecretStr

    s3_endpoint: str
    s3_region: str
    bronze_bucket: str
    ingestion_s3_access_key: str
    ingestion_s3_secret_key: SecretStr

    trino_host: str
    trino_port: int
    trino_user: str = "ingestion"


def env_file() -> Path:
    """The file named by ``ENV_FILE``, else ``.env`` at the top of the repository."""
    return Path(os.environ.get("ENV_FILE") or REPOSITORY / ".env")


def get_settings() -> Settings:
    """Read the settings.

    Raises:
        SettingsError: the file is not there, or a setting is missing or malformed.
    """
    path = env_file()
    try:
        # The fields come from the environment, which mypy cannot know.
        return Settings(_env_file=path, _env_file_encoding="utf-8")  # type: ignore[call-arg]
    except ValidationError as error:
        if not path.is_file():
            problem = f"the settings file {path} does not exist"
        else:
            wrong = (f"{str(e['loc'][0]).upper()}: {e['msg'].lower()}" for e in error.errors())
            problem = f"wrong settings in {path}: {'; '.join(wrong)}"
        raise SettingsError(
            problem,
            "`make env` writes .env from .env.example; ENV_FILE names another file",
        ) from None

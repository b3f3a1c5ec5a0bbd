"""Settings come from the environment, then from the env file."""

from pathlib import Path

import pytest

from ingestion.errors import SettingsError
from ingestion.settings import Settings, get_settings
from ingestion.storage import Bronze

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "test.env"
    file.write_text((REPOSITORY / ".env.example").read_text())
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ENV_FILE", str(file))
    return file


def test_the_example_has_all_that_is_needed() -> None:
    settings = get_settings()
    assert settings.s3_endpoint == "http://127.0.0.1:9000"  # ${…} is expanded
    assert "GENERATE" not in repr(settings)


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PORT", "1234")
    assert get_settings().postgres_port == 1234


def test_a_missing_file_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="none does not exist"):
        get_settings()


def test_a_wrong_setting_is_named(env: Path) -> None:
    env.write_text(env.read_text().replace("POSTGRES_PORT=5432", "POSTGRES_PORT=many"))
    with pytest.raises(SettingsError, match="POSTGRES_PORT"):
        get_settings()


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:9000", "localhost", "http://", "s3://b", "http://a b", "http://a_b:1"]
)
def test_an_invalid_endpoint_is_an_error(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("S3_ENDPOINT", endpoint)
    with pytest.raises(SettingsError) as failure:
        get_settings()
    assert "S3_ENDPOINT: " in failure.value.message
    assert f"must be like http://127.0.0.1:9000, not '{endpoint}'" in failure.value.message


@pytest.mark.parametrize(
    "endpoint", ["http://localhost:9000/", "https://s3.eu-1.example.com", "http://[::1]:9000"]
)
def test_an_endpoint_that_is_an_address_makes_a_client(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("S3_ENDPOINT", endpoint)
    assert Bronze(get_settings()).uri("a").startswith("s3://")

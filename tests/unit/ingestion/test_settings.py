"""Settings come from the environment, then from the env file."""

from pathlib import Path

import pytest

from ingestion.errors import SettingsError
from ingestion.settings import Settings, get_settings

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


def test_a_missing_file_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="none does not exist"):
        get_settings()


def test_a_wrong_setting_is_named(env: Path) -> None:
    env.write_text(env.read_text().replace("POSTGRES_PORT=5432", "POSTGRES_PORT=many"))
    with pytest.raises(SettingsError, match="POSTGRES_PORT"):
        get_settings()

"""The generated .env: complete, secret, kept."""

from pathlib import Path

import pytest
from dotenv import dotenv_values

from infra import env
from infra.errors import LakehouseError


def values(file: Path) -> dict[str, str | None]:
    return dict(dotenv_values(file))


def test_has_every_setting_and_no_placeholder(tmp_path: Path) -> None:
    env.ensure_env(tmp_path / ".env")
    made = values(tmp_path / ".env")
    assert made.keys() == values(env.EXAMPLE).keys()
    assert "GENERATE" not in made.values()


def test_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    env.ensure_env(tmp_path / ".env")
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_secrets_are_random_and_differ(tmp_path: Path) -> None:
    env.ensure_env(tmp_path / "a")
    env.ensure_env(tmp_path / "b")
    generated = [k for k, v in values(env.EXAMPLE).items() if v == "GENERATE"]
    secrets = [values(tmp_path / name)[key] for name in "ab" for key in generated]
    assert len(set(secrets)) == 2 * len(generated)
    assert all(len(secret or "") == 32 for secret in secrets)


def test_keeps_what_the_user_set_and_adds_what_is_new(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("TRINO_PORT=9999\nMINE=1\n")
    env.ensure_env(file)
    made = values(file)
    assert (made["TRINO_PORT"], made["MINE"]) == ("9999", "1")
    assert values(env.EXAMPLE).keys() <= made.keys()
    before = file.read_text()
    env.ensure_env(file)
    assert file.read_text() == before


def test_a_second_stack_has_other_ports_and_another_state(tmp_path: Path) -> None:
    env.ensure_env(tmp_path / ".env", state="elsewhere", port_offset=1000)
    made, example = values(tmp_path / ".env"), values(env.EXAMPLE)
    ports = [key for key in example if key.endswith("_PORT")]
    assert [int(made[p] or 0) for p in ports] == [int(example[p] or 0) + 1000 for p in ports]
    assert made["LAKEHOUSE_STATE"] == "elsewhere"
    assert made["S3_ENDPOINT"] == f"http://127.0.0.1:{made['MINIO_PORT']}"


def test_the_error_of_a_missing_file_has_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENV_FILE", str(tmp_path / "none"))
    with pytest.raises(LakehouseError, match=r"there is no none\n  -> .*make env") as raised:
        env.load_env()
    assert raised.value.message == "there is no none"
    assert "`make env`" in raised.value.hint


def test_a_missing_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    env.ensure_env(file)
    file.write_text(file.read_text().replace("TRINO_PORT", "TRINO_PROT"))
    monkeypatch.setenv("ENV_FILE", str(file))
    with pytest.raises(LakehouseError, match="lacks TRINO_PORT\n"):
        env.load_env()

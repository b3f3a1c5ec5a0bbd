"""The default runtime of `make`, and that a chosen one is stored."""

import os
import subprocess
from pathlib import Path

import pytest

from infra import env
from infra.paths import REPO


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("remembered", ["", "native", "docker"])
def test_docker_only_if_an_engine_answers_or_it_was_chosen(
    tmp_path: Path, answers: bool, remembered: str
) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\nexit {0 if answers else 1}\n")
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / ".env").write_text(f"RUNTIME={remembered}\n")
    wanted = remembered or ("docker" if answers else "native")
    assert f"infra.{wanted} down" in dry_run(tmp_path, "down")
    assert "infra.native down" in dry_run(tmp_path, "down", "RUNTIME=native")


def dry_run(folder: Path, *arguments: str) -> str:
    return subprocess.check_output(
        ["make", "--dry-run", *arguments],
        cwd=REPO,
        text=True,
        env={
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "ENV_FILE": f"{folder}/.env",
        },
    )


def test_a_new_env_file_leaves_the_choice_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENV_FILE", str(tmp_path / ".env"))
    env.ensure_env(tmp_path / ".env")
    assert env.load_env()["RUNTIME"] == ""
    assert env.choose_runtime("native")
    assert not env.choose_runtime("native")
    assert env.load_env()["RUNTIME"] == "native"

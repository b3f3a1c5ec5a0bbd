"""What runs in the background: in order, up to the first failure, and never longer than we do."""

import time
from pathlib import Path

import psutil
import pytest

from demo.background import Background
from infra.errors import LakehouseError


def test_commands_run_in_order_and_each_is_reported(tmp_path: Path) -> None:
    with Background(tmp_path / "logs/log") as background:
        background.submit("first", "sh -c 'sleep 0.2; echo one'")
        background.submit("second", "echo two")
        background.wait()
        assert background.done()
        assert [line.split(":")[0] for line in background.news()] == ["first", "second"]
        assert background.news() == []
    lines = (tmp_path / "logs/log").read_text().splitlines()
    assert [line for line in lines if not line.startswith("$")] == ["one", "two"]


def test_wait_raises_the_failure(tmp_path: Path) -> None:
    with Background(tmp_path / "log") as background:
        background.submit("the first part", "sh -c 'echo no network; exit 3'")
        background.submit("the second part", f"touch {tmp_path}/ran")
        with pytest.raises(LakehouseError, match=r"the first part failed(.|\n)*no network"):
            background.wait()
    assert not (tmp_path / "ran").exists()


def test_nothing_outlives_the_block(tmp_path: Path) -> None:
    with Background(tmp_path / "log") as background:
        background.submit("long", "sh -c 'sleep 321 & wait'")
        while "sleep" not in children():
            time.sleep(0.02)
    assert "sleep" not in children()


def children() -> list[str]:
    return [process.name() for process in psutil.Process().children(recursive=True)]

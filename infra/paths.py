"""Where things are: this clone, its locks, the user's cache."""

import os
import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
INFRA = REPO / "infra"
LOCKS = INFRA / "locks"
MINIO_MODULE = INFRA / "minio"
COMPOSE_MODULE = INFRA / "docker/compose"
HELM_MODULE = INFRA / "helm"
CONTROL_PLANE_MODULE = INFRA / "kubernetes/control_plane"
CHROMIUM_PACKAGE = INFRA / "chromium"
VERSIONS = tomllib.loads((INFRA / "versions.toml").read_text())

# Downloads and builds, shared by all clones of one user, a folder per version.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loan-lakehouse"

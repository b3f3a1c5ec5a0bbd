"""Fetches Maven artifacts, without Maven, against infra/locks/maven.txt."""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jgo.maven import MavenContext, PythonResolver

from infra.errors import LakehouseError
from infra.paths import LOCKS

logging.getLogger("jgo").setLevel(logging.ERROR)

# The first byte of a large artifact can take longer than jgo's 10 seconds.
TIMEOUT_SECONDS = 180

Progress = Callable[[int, int], None]  # (bytes so far, bytes in all)


@dataclass(frozen=True)
class Artifact:
    """One file of a Maven repository."""

    group: str
    name: str
    version: str
    packaging: str = "jar"
    classifier: str = ""

    @classmethod
    def parse(cls, coordinate: str) -> "Artifact":
        return cls(*coordinate.split(":"))

    def __str__(self) -> str:
        parts = [self.group, self.name, self.version]
        if (self.packaging, self.classifier) != ("jar", ""):
            parts += [self.packaging, self.classifier]
        return ":".join(parts).rstrip(":")


def locked(service: str) -> dict[Artifact, str]:
    """The artifacts of a service with their SHA-256, the server first."""
    lines = (LOCKS / "maven.txt").read_text().splitlines()
    rows = (line.split() for line in lines)
    return {Artifact.parse(text): digest for digest, of, text in rows if of == service}


def context(repository: Path, progress: Progress | None = None) -> MavenContext:
    @contextmanager
    def report(_name: str, total: int) -> Iterator[Callable[[int], None]]:
        done = 0

        def update(count: int) -> None:
            nonlocal done
            done += count
            if progress:
                progress(done, total)

        yield update

    resolver = PythonResolver(progress_callback=report)
    return MavenContext(resolver, repo_cache=repository, timeout=TIMEOUT_SECONDS)


def download(artifact: Artifact, folder: Path, progress: Progress | None = None) -> Path:
    """Put one artifact into a folder and return its path."""
    with tempfile.TemporaryDirectory(dir=folder) as repository:
        project = context(Path(repository), progress).project(artifact.group, artifact.name)
        component = project.at_version(artifact.version)
        try:
            file = component.artifact(artifact.classifier, artifact.packaging).resolve()
        except Exception as error:  # any failure of the network or the repository
            raise LakehouseError(
                f"could not download {artifact} from Maven Central: {error}",
                "check the network (or the proxy settings) and run it again",
            ) from error
        return file.rename(folder / file.name)


def fetch(artifact: Artifact, sha256: str, folder: Path, progress: Progress | None = None) -> Path:
    """Download and check against the lock; a file that differs is deleted."""
    file = download(artifact, folder, progress)
    if (found := digest(file)) != sha256:
        file.unlink()
        raise LakehouseError(
            f"{artifact} is not what infra/locks/maven.txt says: {found}, not {sha256}",
            "run it again; if it stays so, the repository serves another file: do not use it",
        )
    return file


def digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

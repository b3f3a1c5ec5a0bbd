"""supervisor's configuration: services.py and, for the command lines, supervisord.conf.

No value of the environment is in it: supervisor expands %(ENV_X)s when it reads the file.
"""

from configparser import RawConfigParser
from pathlib import Path

from infra.paths import INFRA
from infra.services import SERVICES, Service

TEMPLATE = INFRA / "native/supervisord.conf"
# Nothing starts by itself: `make up` starts each program when those that it needs are
# healthy. A program that ends is restarted. It counts as started after startsecs; one that
# ends earlier startretries times in a row is not started again.
ALWAYS = {
    "autostart": "false",
    "autorestart": "true",
    "startsecs": "10",
    "startretries": "10",
    "redirect_stderr": "true",
    "stdout_logfile_maxbytes": "10MB",
}


def write_configuration(file: Path) -> None:
    with file.open("w") as target:
        configuration().write(target)


def configuration() -> RawConfigParser:
    """The template, its programs completed. Raises KeyError for a service that is not in it."""
    config = RawConfigParser()
    config.read_string(TEMPLATE.read_text())
    for number, service in enumerate(SERVICES, start=1):
        for program in service.programs:
            section = config[f"program:{program}"]
            for key, value in described(service, program, number).items():
                section.setdefault(key, value)
    return config


def described(service: Service, program: str, number: int) -> dict[str, str]:
    """What follows from a service's description, `number` being its place in SERVICES."""
    process = f"{program}-%(process_num)d" if service.count else program
    options = {
        **ALWAYS,
        "priority": str(10 * number),  # they are stopped in the reverse order
        "stopsignal": service.stop_signal,
        "stopwaitsecs": str(service.stop_seconds),
        "stdout_logfile": f"%(ENV_LAKEHOUSE_STATE)s/logs/{process}.log",
    }
    if service.count:
        options["process_name"] = process
        options["numprocs"] = f"%(ENV_{service.count})s"
        options["numprocs_start"] = "1"
    return options

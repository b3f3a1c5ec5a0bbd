"""What the chart takes from other files: ports, settings, images, configuration, memory."""

import re
from typing import Any

import yaml
from dotenv import dotenv_values

from infra.env import EXAMPLE
from infra.images import images
from infra.paths import INFRA, REPO
from infra.services import SERVICES, Service

# The folders of infra/ that containers see, each as one ConfigMap, and their files: in a folder
# that has Python code, too, these only.
CONFIGURATION = {
    "postgres": ("*",),
    "minio/policies": ("*",),
    "hive": ("*",),
    "trino": ("*", "catalog/*"),
    "kafka": ("*",),
    "debezium": ("*",),
    "flink": ("*",),
    "mlflow": ("serve.py",),
    "airflow": ("airflow.cfg",),
    "native/bin": ("*",),
    "docker": ("healthy", "kafka"),
    "kubernetes/scripts": ("*",),
}
# Where things are in our images, and in others as the chart mounts them.
PLACES = {"REPO": "/lakehouse", "INFRA": "/lakehouse/infra", "LAKEHOUSE_STATE": "/state"}
UNITS = {"m": "Mi", "g": "Gi"}


def values() -> dict[str, Any]:
    """The part of the chart's values.yaml that no person writes."""
    return {
        "images": images(),
        "settings": settings(),
        "secret": {"names": secret_names()},
        "configuration": {folder: files(folder) for folder in CONFIGURATION},
        "workloads": {service.name: workload(service) for service in SERVICES},
    }


def secret_names() -> list[str]:
    return [name for name, value in example().items() if value == "GENERATE"]


def settings() -> dict[str, str]:
    """All that is no secret, with each service at its own name."""
    plain = {name: value for name, value in example().items() if name not in secret_names()}
    hosts = {host: service.name for service in SERVICES if (host := host_setting(service)) in plain}
    plain |= {"BIND_HOST": "0.0.0.0", "MALLOC_ARENA_MAX": "2", **hosts, **PLACES}  # noqa: S104
    plain["S3_ENDPOINT"] = f"http://{plain['MINIO_HOST']}:{plain['MINIO_PORT']}"
    return plain


def example() -> dict[str, str]:
    found = dotenv_values(EXAMPLE, interpolate=False)
    return {name: value or "" for name, value in found.items()}


def host_setting(service: Service) -> str:
    return service.ports[0].replace("_PORT", "_HOST") if service.ports else ""


def files(folder: str) -> list[str]:
    """The files of a folder of infra/, relative to it."""
    root = INFRA / folder
    found = {file for pattern in CONFIGURATION[folder] for file in root.glob(pattern)}
    return sorted(str(file.relative_to(root)) for file in found if file.is_file())


def workload(service: Service) -> dict[str, Any]:
    return {
        "enabled": not service.by_name,
        "ports": [{"name": port_name(service, port), "setting": port} for port in service.ports],
        "stopSeconds": service.stop_seconds,
        "needs": list(service.needs),
        "setUp": service.setup is not Service.setup,
        "setUpNeeds": list(service.setup_needs),
        "count": service.count,
        "containers": {program: container(program) for program in service.programs},
    }


def port_name(service: Service, port: str) -> str:
    """A name within Kubernetes' 15 characters: the service's own name is left out of it."""
    name = port.removesuffix("_PORT").lower().replace("_", "-")
    return name.removeprefix(f"{service.name}-")


def container(program: str) -> dict[str, str]:
    """Its image and its limit of memory: those of Docker Compose."""
    compose = yaml.safe_load((REPO / "docker-compose.yml").read_text())["services"][program]
    limit = re.fullmatch(r"(\d+)([mg])", compose["deploy"]["resources"]["limits"]["memory"])
    if limit is None:
        raise ValueError(f"{program}: a limit of memory is a number and m or g")
    return {"image": compose["image"].strip("${}"), "memory": limit[1] + UNITS[limit[2]]}

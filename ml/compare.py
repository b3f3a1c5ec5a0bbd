"""Versions of the model, side by side."""

from mlflow.entities.model_registry import ModelVersion
from rich.table import Table

from ml.registry import COMPLETE, GATES, WHY, Registry


def compare(registry: Registry, one: int, other: int) -> Table:
    """A line for each figure and parameter of two versions; those that differ are marked."""
    found = [registry.version(number) for number in (one, other)]
    runs = [registry.client.get_run(str(version.run_id)) for version in found]
    grid = Table("", f"version {one}", f"version {other}", "", title=registry.model)
    metrics = sorted({name for run in runs for name in run.data.metrics})
    for name in metrics:
        values = [run.data.metrics.get(name) for run in runs]
        grid.add_row(name, *map(number, values), difference(*values))
    grid.add_section()
    for name in sorted({name for run in runs for name in run.data.params}):
        texts = [run.data.params.get(name, "") for run in runs]
        grid.add_row(name, *texts, "" if texts[0] == texts[1] else "differs")
    return grid


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def difference(one: float | None, other: float | None) -> str:
    return "" if one is None or other is None else f"{other - one:+.5f}"


def versions(registry: Registry) -> Table:
    """A line for each version, newest first."""
    grid = Table("version", "alias", "complete", "gates", "why not", title=registry.model)
    aliases: dict[str, str] = {}
    for alias in (registry.champion_alias, registry.challenger_alias):
        if version := registry.by_alias(alias):
            aliases[str(version.version)] = alias
    found: list[ModelVersion] = list(
        registry.client.search_model_versions(f"name = '{registry.model}'")
    )
    for version in sorted(found, key=lambda one: -int(one.version)):
        tags = version.tags
        grid.add_row(
            str(version.version),
            aliases.get(str(version.version), ""),
            "yes" if tags.get(COMPLETE) == "true" else "no",
            tags.get(GATES, ""),
            tags.get(WHY, ""),
        )
    return grid

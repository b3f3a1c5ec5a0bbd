"""An upgrade from an older chart: one that lacks something and has something that is gone."""

from pathlib import Path

import pytest
import yaml

from infra.kubernetes.package import values_files
from tests.kubernetes.cluster.lake import Lake, is_ready

pytestmark = pytest.mark.slow

GONE = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: gone
  labels: {{ include "lakehouse.labels" (dict "root" . "component" "gone") | nindent 4 }}
"""


def make_older(chart: Path) -> str:
    """The name of a secret that it does not know yet."""
    described = yaml.safe_load((chart / "Chart.yaml").read_text())
    described |= {"version": "0.0.1", "appVersion": "0.0.1"}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(described))
    values = yaml.safe_load((chart / "values.yaml").read_text())
    new: str = values["secret"]["names"].pop()
    (chart / "values.yaml").write_text(yaml.safe_dump(values))
    (chart / "templates/network.yaml").unlink()
    (chart / "templates/gone.yaml").write_text(GONE)
    return new


def test_up_upgrades_an_older_chart(lake: Lake, copied_chart: Path) -> None:
    new = make_older(copied_chart)
    lake.make_namespace()
    files = [f"--values={file}" for file in values_files(copied_chart, "local")]
    lake.helm("install", "lakehouse", str(copied_chart), "--wait", "--wait-for-jobs", *files)
    before = lake.get("secrets")["lakehouse-secrets"]["data"]
    assert "gone" in lake.get("configmaps")
    assert new not in before
    lake.up()
    after = lake.get("secrets")["lakehouse-secrets"]["data"]
    assert after.keys() - before.keys() == {new}
    assert after.items() >= before.items()
    assert "gone" not in lake.get("configmaps")
    assert "default-deny" in lake.get("networkpolicies")
    pods = lake.get("pods", "--selector=app.kubernetes.io/version=0.0.1")
    assert pods == {}
    assert all(is_ready(one) for one in lake.get("deployments,statefulsets").values())

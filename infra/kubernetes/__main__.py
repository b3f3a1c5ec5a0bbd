"""`python -m infra.kubernetes`: the lakehouse on a cluster, by Helm."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from infra.command_line import run_command
from infra.errors import LakehouseError
from infra.images import images as all_images
from infra.kubernetes.package import NAMESPACE, VALUES, package, values_files
from infra.kubernetes.reasons import KINDS, reasons
from infra.provision import program_folder, provision

RELEASE = "lakehouse"
# The kinds of the chart but the Secret, which is kept.
REMOVED = (
    "configmaps",
    "deployments.apps",
    "horizontalpodautoscalers.autoscaling",
    "jobs.batch",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
    "serviceaccounts",
    "services",
    "statefulsets.apps",
)

app = typer.Typer(
    help="Runs the lakehouse on Kubernetes, by Helm.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Context = Annotated[str, typer.Option(help="The kubeconfig's context; there is no default.")]
Namespace = Annotated[str, typer.Option(help="One lakehouse is in one namespace.")]
ValuesChoice = Annotated[str, typer.Option(help=f"One of {', '.join(VALUES)}.")]
ValuesFiles = Annotated[list[Path] | None, typer.Option("--file", "-f", help="More values.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="One more value: a.b=c.")]
With = Annotated[list[str] | None, typer.Option("--with", help="features or scoring, too.")]
Timeout = Annotated[str, typer.Option(help="How long to wait until it is done.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def helm() -> str:
    provision(["helm"])
    return str(program_folder("helm") / "helm")


def kubectl() -> str:
    if found := shutil.which("kubectl"):
        return found
    raise LakehouseError("there is no `kubectl` here", "install the one of your cluster's version")


@contextmanager
def chart_with(
    values: str, files: list[Path] | None, sets: list[str] | None, more: list[str] | None = None
) -> Iterator[list[str]]:
    """The packaged chart and its values, as arguments of Helm."""
    if values not in VALUES:
        raise LakehouseError(f"there are no values {values}", f"there are {', '.join(VALUES)}")
    with tempfile.TemporaryDirectory() as folder:
        chart = package(Path(folder))
        arguments = [str(chart)]
        for file in [*values_files(chart, values), *(files or [])]:
            arguments += ["--values", str(file)]
        for one in [*(f"workloads.{name}.enabled=true" for name in more or []), *(sets or [])]:
            arguments += ["--set", one]
        yield arguments


def call(*command: str) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)  # it has printed why


def cluster(context: str) -> str:
    """The address of the context's cluster."""
    where = "jsonpath={.clusters[0].cluster.server}"
    asked = [kubectl(), "config", "view", "--minify", f"--context={context}", f"--output={where}"]
    done = subprocess.run(asked, check=False, text=True, capture_output=True)
    if done.returncode or not done.stdout:
        raise LakehouseError(
            f"kubectl knows no context {context}", "`kubectl config get-contexts` lists them"
        )
    return done.stdout


def confirm(what: str, context: str, namespace: str, yes: bool) -> None:
    """Name the cluster and ask: nothing happens to one by accident."""
    typer.echo(f"cluster {cluster(context)} (context {context}), namespace {namespace}")
    if not yes:
        typer.confirm(what, abort=True)


@app.command("package")
def write_package(
    folder: Annotated[Path, typer.Argument(help="Where to write the chart `lakehouse`.")],
) -> None:
    """Write the complete chart, with its configuration files, for other tools to install."""
    if (folder / RELEASE).exists():
        raise LakehouseError(f"there is a {folder / RELEASE} already", "name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    typer.echo(package(folder))


@app.command()
def template(
    values: ValuesChoice = "local",
    namespace: Namespace = RELEASE,
    files: ValuesFiles = None,
    sets: Sets = None,
    more: With = None,
) -> None:
    """Print what `up` would install. Its secrets are made up: no cluster is asked."""
    with chart_with(values, files, sets, more) as arguments:
        call(helm(), "template", RELEASE, *arguments, f"--namespace={namespace}")


@app.command()
def images() -> None:
    """Print the images that you build and push: the others are in public registries."""
    ours = [image for image in all_images().values() if image.startswith("loan-lakehouse/")]
    typer.echo("\n".join(ours))


@app.command()
def up(  # noqa: PLR0913, PLR0917 (options)
    context: Context,
    values: ValuesChoice = "local",
    namespace: Namespace = RELEASE,
    files: ValuesFiles = None,
    sets: Sets = None,
    more: With = None,
    yes: Yes = False,
    timeout: Timeout = "20m",
) -> None:
    """Install or upgrade the lakehouse, and wait until it is ready. Names the cluster and asks."""
    with chart_with(values, files, sets, more) as arguments:
        confirm(f"Install the lakehouse with the values `{values}`?", context, namespace, yes)
        check_nothing_else_runs(context, namespace)
        program = helm()
        text = NAMESPACE.read_text().replace(f"name: {RELEASE}", f"name: {namespace}")
        apply = [kubectl(), f"--context={context}", "apply", "--filename=-"]
        if code := subprocess.run(apply, input=text, text=True, check=False).returncode:
            raise typer.Exit(code)
        target = [f"--kube-context={context}", f"--namespace={namespace}"]
        # Force: what was changed by `kubectl scale` or `edit` is what the values say again.
        wait = ["--force-conflicts", "--wait", "--wait-for-jobs", f"--timeout={timeout}"]
        install = [program, "upgrade", "--install", RELEASE, *arguments, *target, *wait]
        if code := subprocess.run(install, check=False).returncode:
            explain(context, namespace)
            raise typer.Exit(code)


def check_nothing_else_runs(context: str, namespace: str) -> None:
    """Helm marks a release while it works on it; the mark stays if it is killed."""
    target = [f"--context={context}", f"--namespace={namespace}"]
    pending = ",".join(f"pending-{what}" for what in ("install", "upgrade", "rollback"))
    marked = ["secrets", f"--selector=owner=helm,name={RELEASE},status in ({pending})"]
    asked = [kubectl(), *target, "get", *marked, "--output=name"]
    done = subprocess.run(asked, check=False, text=True, capture_output=True)
    if name := done.stdout.strip():
        raise LakehouseError(
            "another `make k8s-up` runs, or one was killed",
            f"if none runs: kubectl {' '.join(target)} delete {name}",
        )


@app.command()
def status(context: Context, namespace: Namespace = RELEASE) -> None:
    """Show the pods, set-up steps and volumes, and why something is not ready."""
    target = [f"--context={context}", f"--namespace={namespace}"]
    kinds = "pods,jobs,horizontalpodautoscalers,persistentvolumeclaims"
    call(kubectl(), *target, "get", kinds, "--output=wide")
    explain(context, namespace)


def explain(context: str, namespace: str) -> None:
    """Say of what is not ready why, as far as the cluster knows."""
    target = [f"--context={context}", f"--namespace={namespace}"]
    asked = [kubectl(), *target, "get", KINDS, "--output=json"]
    done = subprocess.run(asked, check=False, text=True, capture_output=True)
    if done.returncode == 0 and (lines := reasons(json.loads(done.stdout)["items"])):
        typer.echo("\nnot ready, by the cluster's last warning:")
        typer.echo("\n".join(lines))


@app.command()
def down(
    context: Context, namespace: Namespace = RELEASE, yes: Yes = False, timeout: Timeout = "20m"
) -> None:
    """Uninstall the lakehouse, and wait until its pods are gone; its volumes and its Secret stay.

    Names the cluster and asks.
    """
    confirm("Uninstall the lakehouse? Its data stay.", context, namespace, yes)
    target = [f"--kube-context={context}", f"--namespace={namespace}"]
    # Foreground: the owners of pods are there until their pods are gone.
    wait = ["--wait", "--cascade=foreground", f"--timeout={timeout}"]
    call(helm(), "uninstall", RELEASE, *target, "--ignore-not-found", *wait)
    # What a failed upgrade made is not in the revision that Helm removes.
    ours = f"--selector=app.kubernetes.io/managed-by=Helm,app.kubernetes.io/instance={RELEASE}"
    target = [f"--context={context}", f"--namespace={namespace}"]
    delete = ["delete", ",".join(REMOVED), ours, "--cascade=foreground", f"--timeout={timeout}"]
    call(kubectl(), *target, *delete)


@app.command()
def tools() -> None:
    """Build what tests on a control plane run: Helm, and Kubernetes without containers."""
    provision(["helm", "control-plane"])


if __name__ == "__main__":
    run_command(app)

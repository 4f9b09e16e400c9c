"""``kecs-state sandbox``: clusters made of this package's own processes, for trying things out."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from app.sandbox import supervisor
from app.sandbox.apiclient import ApiError
from app.sandbox.seed import seed, seed_custom_resources

DEFAULT_STATE_DIR = Path("~/.local/share/kecs-state/sandbox")

sandbox_app = typer.Typer(
    no_args_is_help=True,
    help="Embedded clusters for trying things out: real protocols, emulated Kubernetes and Velero.",
)
Name = Annotated[str, typer.Argument(help="The instance's name.")]
StateDir = Annotated[Path, typer.Option(help="Where sandbox clusters lie.", envvar="KECS_STATE_SANDBOX_STATE_DIR")]


@sandbox_app.command("create")
def create(name: Name, state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Make a cluster with KECS's components and power it on."""
    _run(supervisor.create(_resolved(state_dir), name))
    typer.echo(f"sandbox cluster {name} runs; fill it with: kecs-state sandbox seed {name}")


@sandbox_app.command("start")
def power_on(name: Name, state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Power a cluster on, as it was."""
    _run(supervisor.power_on(_resolved(state_dir), name))


@sandbox_app.command("stop")
def power_off(
    name: Name,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    drain: Annotated[bool, typer.Option(help="Drain first, as k3d does.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Power a cluster off without any backup."""
    _run(supervisor.power_off(_resolved(state_dir), name, drain=drain))


@sandbox_app.command("delete")
def delete(name: Name, state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Remove a cluster; its backups stay, they lie outside of it."""
    _run(supervisor.delete(_resolved(state_dir), name))


@sandbox_app.command("list")
def list_clusters(state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Show every sandbox cluster and its state."""
    for name, status in supervisor.list_clusters(_resolved(state_dir)).items():
        typer.echo(f"{name}\t{status.state}\t{status.detail}".rstrip())


@sandbox_app.command("kubeconfig")
def kubeconfig(name: Name, state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Print a kubeconfig, for kubectl and the like."""
    with _plain_errors():
        typer.echo(yaml.safe_dump(supervisor.kubeconfig(_resolved(state_dir), name)))


@sandbox_app.command("seed")
def fill(name: Name, state_dir: StateDir = DEFAULT_STATE_DIR) -> None:
    """Fill a cluster with what a user of KECS would have."""
    _run(_fill(_resolved(state_dir), name))


async def _fill(state_dir: Path, name: str) -> None:
    status = supervisor.state(state_dir, name)
    if status.state != "running":
        remedy = f"kecs-state sandbox {'create' if status.state == 'absent' else 'start'} {name}"
        raise supervisor.SandboxError(f"sandbox cluster {name!r} is {status.state}; first: {remedy}")
    count = await seed(state_dir, name) + await seed_custom_resources(state_dir, name)
    typer.echo(f"created {count} objects")


def _resolved(state_dir: Path) -> Path:
    return state_dir.expanduser().absolute()


def _run(work: Coroutine[Any, Any, None]) -> None:
    with _plain_errors():
        asyncio.run(work)


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (supervisor.SandboxError, ApiError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None

"""Sandbox clusters as directories and processes: create, power on and off, delete.

``<state-dir>/clusters/<name>/`` is the cluster and dies with it; ``<state-dir>/instances/<name>/data`` is the host
directory its node sees at the same path, and stays.
"""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from app.sandbox.apiclient import ApiError, KubernetesApi
from app.sandbox.draining import drain_node
from app.sandbox.kubelet.state import NODES
from app.sandbox.processes import ProcessRef, end, running_for, signal_group, start

READY_SECONDS = 30.0
END_SECONDS = 5.0
POLL_SECONDS = 0.02


class SandboxError(Exception):
    """A sandbox cluster cannot do what was asked; says why."""


@dataclass(frozen=True)
class SandboxStatus:
    """State of a cluster, and a value that changes with every power-on and power-off."""

    state: Literal["running", "stopped", "half-off", "absent"]
    off_epoch: str = ""
    detail: str = ""


def cluster_directory(state_dir: Path, name: str) -> Path:
    """Where a cluster lies."""
    return state_dir / "clusters" / name


def host_directory(state_dir: Path, name: str) -> Path:
    """The directory of the host that the node sees at the same path."""
    return state_dir / "instances" / name / "data"


def node_name(name: str) -> str:
    """The node's name, as k3d would have it."""
    return f"k3d-kecs-{name}-server-0"


async def create(state_dir: Path, name: str, *, kecs: bool = True) -> None:
    """Make a cluster and power it on; with ``kecs`` it gets KECS's own components."""
    directory = cluster_directory(state_dir, name)
    if directory.exists():
        raise SandboxError(f"there is a sandbox cluster {name!r} already")
    directory.mkdir(parents=True, mode=0o700)
    host_directory(state_dir, name).mkdir(parents=True, exist_ok=True)
    await power_on(state_dir, name)
    if kecs:
        from app.sandbox.components import deploy_components

        await deploy_components(directory, host_directory(state_dir, name))


async def power_on(state_dir: Path, name: str) -> None:
    """Start the API server and the node; already on is success."""
    directory = _existing(state_dir, name)
    async with _locked(directory):
        record = _load(directory)
        if _alive(record, "api") and _alive(record, "kubelet"):
            return
        await _end_processes(directory, record)
        module = [sys.executable, "-m"]
        record["api"] = start(
            [*module, "app.sandbox.kubeapi", "--directory", str(directory)], directory / "logs" / "api.log"
        ).as_json()
        _save(directory, record)
        await _until_ready(directory)
        arguments = ["--directory", str(directory), "--mount", str(host_directory(state_dir, name))]
        record["kubelet"] = start(
            [*module, "app.sandbox.kubelet", *arguments, "--node", node_name(name)], directory / "logs" / "kubelet.log"
        ).as_json()
        _note_power(directory, record, "on")
        await _until_registered(directory, name)


async def power_off(state_dir: Path, name: str, *, drain: bool = False) -> None:
    """Kill everything at once, or drain first as k3d's entrypoint does; already off is success."""
    directory = _existing(state_dir, name)
    async with _locked(directory):
        record = _load(directory)
        was_on = _alive(record, "api") or _alive(record, "kubelet")
        if _alive(record, "api") and _alive(record, "kubelet"):
            # A power-off that was cut off and is finished later began here, and not when it was finished.
            _log_power(directory, "ending", time.time_ns())
        if drain and was_on:
            await drain_node(directory)
        await _end_processes(directory, record)
        if was_on:
            _note_power(directory, record, "off")
        _save(directory, record)


async def cut_power(state_dir: Path, name: str) -> None:
    """Kill everything at once as a power cut does: nobody asked for it, so neither the power log nor the epoch knows.

    The record stays as well: it names processes that are gone, as after a cut.
    """
    directory = _existing(state_dir, name)
    async with _locked(directory):
        await _end_processes(directory, _load(directory))


async def delete(state_dir: Path, name: str) -> None:
    """Remove the cluster; the host directory stays. Already gone is success."""
    directory = cluster_directory(state_dir, name)
    if not directory.is_dir():
        return
    async with _locked(directory):
        await _end_processes(directory, _load(directory))
        shutil.rmtree(directory, ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def state(state_dir: Path, name: str) -> SandboxStatus:
    """What of the cluster runs."""
    directory = cluster_directory(state_dir, name)
    if not directory.is_dir():
        return SandboxStatus("absent")
    record = _load(directory)
    alive = [part for part in ("api", "kubelet") if _alive(record, part)]
    epoch = record.get("epoch", "")
    if len(alive) == 1:
        return SandboxStatus("half-off", epoch, f"only its {alive[0]} runs")
    return SandboxStatus("running" if alive else "stopped", epoch)


def list_clusters(state_dir: Path) -> dict[str, SandboxStatus]:
    """Every cluster by name."""
    clusters = state_dir / "clusters"
    names = sorted(path.name for path in clusters.iterdir() if path.is_dir()) if clusters.is_dir() else []
    return {name: state(state_dir, name) for name in names}


def kubeconfig(state_dir: Path, name: str) -> dict[str, Any]:
    """Access to a cluster that was powered on at least once."""
    path = _existing(state_dir, name) / "kubeconfig"
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def _existing(state_dir: Path, name: str) -> Path:
    directory = cluster_directory(state_dir, name)
    if not directory.is_dir():
        raise SandboxError(f"there is no sandbox cluster {name!r}; make one with: kecs-state sandbox create {name}")
    return directory


def _load(directory: Path) -> dict[str, Any]:
    path = directory / "cluster.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return record


def _save(directory: Path, record: dict[str, Any]) -> None:
    temporary = directory / "cluster.json.new"
    temporary.write_text(json.dumps(record))
    temporary.replace(directory / "cluster.json")


def _note_power(directory: Path, record: dict[str, Any], what: Literal["on", "off"]) -> None:
    """A new ``off_epoch``, and a line in the power log, which a checker holds against what the service recorded."""
    moment = time.time_ns()
    record["epoch"] = f"{what}-{moment}"
    _save(directory, record)
    _log_power(directory, what, moment)


def _log_power(directory: Path, what: Literal["on", "ending", "off"], moment: int) -> None:
    with (directory / "power.log").open("a") as log:
        log.write(f"{moment} {what}\n")


def _alive(record: dict[str, Any], part: str) -> bool:
    return part in record and ProcessRef(**record[part]).alive()


async def _end_processes(directory: Path, record: dict[str, Any]) -> None:
    """SIGKILL for the node first, so that it starts nothing any more, then for its pods and the API server."""
    for part in ("kubelet", "pods", "api"):
        if part == "pods":
            groups = directory / "pods.json"
            for leader in json.loads(groups.read_text()) if groups.exists() and "kubelet" in record else []:
                signal_group(leader, signal.SIGKILL)
            groups.unlink(missing_ok=True)
        elif part in record:
            await end(ProcessRef(**record[part]), signal.SIGKILL, END_SECONDS)
    # A starter killed between starting a process and writing it down has left one that no record names.
    for orphan in await asyncio.to_thread(running_for, directory):
        await end(orphan, signal.SIGKILL, END_SECONDS)
    record.pop("kubelet", None)
    record.pop("api", None)


async def _until_ready(directory: Path) -> None:
    log = directory / "logs" / "api.log"
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await _answers(directory):
                if not _alive(_load(directory), "api"):
                    raise SandboxError(f"the sandbox's API server ended at once; see {log}")
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise SandboxError(f"the sandbox's API server did not answer within {READY_SECONDS:g} s; see {log}") from None


async def _answers(directory: Path) -> bool:
    path = directory / "api.json"
    if not path.exists() or json.loads(path.read_text()).get("pid") != _load(directory)["api"]["pid"]:
        return False
    try:
        async with KubernetesApi.from_kubeconfig(directory / "kubeconfig") as api:
            await api.request("GET", "/version")
    except (OSError, ApiError, ValueError):
        return False
    return True


async def _until_registered(directory: Path, name: str) -> None:
    """Until the node has said where its kubelet is in this run."""
    since = time.time()
    async with asyncio.timeout(READY_SECONDS), KubernetesApi.from_kubeconfig(directory / "kubeconfig") as api:
        while True:
            node = await api.find(NODES, node_name(name))
            log = directory / "endpoints.json"
            if node is not None and log.exists() and log.stat().st_mtime >= since - 1:
                return
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def _locked(directory: Path) -> AsyncIterator[None]:
    """One power change at a time, across processes."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        async with asyncio.timeout(READY_SECONDS * 2):
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)

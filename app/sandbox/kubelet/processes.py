"""Containers as processes: environment, volumes, start and end, each by its own process group."""

import asyncio
import base64
import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from app.sandbox.apiclient import ApiError
from app.sandbox.kubelet.images import command_of
from app.sandbox.kubelet.state import CONFIG_MAPS, SECRETS, ClusterState
from app.sandbox.objects import Object, name_of, namespace_of
from app.sandbox.ports import free_port

KILL_SECONDS = 5.0
KUBELET_PODS = "/var/lib/kubelet/pods"


@dataclass(frozen=True)
class NodePaths:
    """Directories of this node."""

    directory: Path
    """The cluster's own directory."""
    mount: Path
    """The host directory the node sees at the same path; everything else a pod calls a hostPath is the node's own."""

    def pod(self, pod: Object) -> Path:
        """Where a pod's volumes lie."""
        return self.directory / "pods" / str(pod["metadata"]["uid"])

    def log(self, pod: Object, container: str) -> Path:
        """What a container has written."""
        return self.directory / "logs" / f"{pod['metadata']['uid']}-{container}.log"

    def host_path(self, path: str) -> Path:
        """A hostPath: below the mount it is the host's, elsewhere it is private to the node and dies with it.

        The kubelet's own directory is where a real one has it.
        """
        if path == KUBELET_PODS:
            return self.directory / "pods"
        if Path(path).is_relative_to(self.mount):
            return Path(path)
        return self.directory / "node" / path.lstrip("/")


class Container:
    """One running process; ``wait`` gives its exit code."""

    def __init__(self, process: asyncio.subprocess.Process, ports: dict[int, int]) -> None:
        self.process = process
        self.ports = ports

    async def stop(self, grace_seconds: float) -> None:
        """SIGTERM to the group, and SIGKILL when the grace is over."""
        self._signal(signal.SIGTERM if grace_seconds > 0 else signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(grace_seconds, KILL_SECONDS if grace_seconds == 0 else 0)):
                await self.process.wait()
                return
        self._signal(signal.SIGKILL)
        async with asyncio.timeout(KILL_SECONDS):
            await self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


async def start_container(state: ClusterState, paths: NodePaths, pod: Object, container: Object) -> Container:
    """Start the process of a known image; its output goes to the container's log."""
    command = command_of(container)
    if command is None:
        raise ValueError(f"no program stands behind {container['image']}")
    mounts = await mount_volumes(state, paths, pod, container)
    ports = {int(port["containerPort"]): free_port() for port in container.get("ports") or []}
    environment = os.environ | await _environment(state, pod, container)
    environment |= {
        "KECS_SANDBOX_KUBECONFIG": str(paths.directory / "kubeconfig"),
        "KECS_SANDBOX_ENDPOINTS": str(paths.directory / "endpoints.json"),
        "KECS_SANDBOX_FAULTS": str(paths.directory / "faults.json"),
        "KECS_SANDBOX_PORTS": json.dumps({str(port): own for port, own in ports.items()}),
        "KECS_SANDBOX_MOUNTS": json.dumps({path: str(host) for path, host in mounts.items()}),
    }
    log = paths.log(pod, container["name"])
    log.parent.mkdir(exist_ok=True)
    scratch = paths.pod(pod) / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    environment["TMPDIR"] = str(scratch)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Container(process, ports)


async def mount_volumes(state: ClusterState, paths: NodePaths, pod: Object, container: Object) -> dict[str, Path]:
    """The directory behind each of a container's mount paths, filled as the volume says."""
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
    mounts = {}
    for mount in container.get("volumeMounts") or []:
        volume = volumes.get(mount["name"])
        if volume is not None:
            mounts[mount["mountPath"]] = await _volume(state, paths, pod, volume) / mount.get("subPath", "")
    return mounts


async def _volume(state: ClusterState, paths: NodePaths, pod: Object, volume: Object) -> Path:
    if "hostPath" in volume:
        directory: Path = paths.host_path(str(volume["hostPath"]["path"]))
        directory.mkdir(parents=True, exist_ok=True)
        return directory
    directory = paths.pod(pod) / "volumes" / volume["name"]
    directory.mkdir(parents=True, exist_ok=True)
    for kind, resource, field in (("secret", SECRETS, "secretName"), ("configMap", CONFIG_MAPS, "name")):
        if kind in volume:
            source = await state.api.get(resource, volume[kind][field], namespace_of(pod))
            for key, value in (source.get("data") or {}).items():
                content = base64.b64decode(value) if resource is SECRETS else value.encode()
                (directory / key).write_bytes(content)
    return directory


async def _environment(state: ClusterState, pod: Object, container: Object) -> dict[str, str]:
    environment: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        for reference, resource in (("secretRef", SECRETS), ("configMapRef", CONFIG_MAPS)):
            if reference in source:
                values = await _values(state, resource, source[reference]["name"], namespace_of(pod))
                environment |= {prefix + key: value for key, value in values.items()}
    for variable in container.get("env") or []:
        environment[variable["name"]] = await _value(state, pod, variable)
    return environment


async def _value(state: ClusterState, pod: Object, variable: Object) -> str:
    source = variable.get("valueFrom")
    if source is None:
        return str(variable.get("value", ""))
    if "fieldRef" in source:
        fields = {
            "metadata.name": name_of(pod),
            "metadata.namespace": namespace_of(pod),
            "spec.nodeName": pod["spec"].get("nodeName", ""),
            "status.podIP": (pod.get("status") or {}).get("podIP", ""),
        }
        return str(fields.get(source["fieldRef"]["fieldPath"], ""))
    for reference, resource in (("secretKeyRef", SECRETS), ("configMapKeyRef", CONFIG_MAPS)):
        if reference in source:
            values = await _values(state, resource, source[reference]["name"], namespace_of(pod))
            return values.get(source[reference]["key"], "")
    return ""


async def _values(state: ClusterState, resource: object, name: str, namespace: str) -> dict[str, str]:
    kind = SECRETS if resource is SECRETS else CONFIG_MAPS
    try:
        found = await state.api.get(kind, name, namespace)
    except ApiError as error:
        raise MissingConfiguration(f"{kind.kind} {namespace}/{name}: {error}") from error
    values = (found.get("data") or {}).items()
    return {key: base64.b64decode(value).decode() if kind is SECRETS else value for key, value in values}


class MissingConfiguration(Exception):
    """A Secret or ConfigMap a container needs is not there: ``CreateContainerConfigError``."""

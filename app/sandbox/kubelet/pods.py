"""The kubelet proper: one task per pod brings it from Pending to Running, watches it, and ends it."""

import asyncio
import contextlib
import json
import logging
import zlib
from pathlib import Path

import aiohttp

from app.sandbox.apiclient import ApiError
from app.sandbox.kubelet.controllers import COMPLETES_ANNOTATION
from app.sandbox.kubelet.images import PLUGIN, can_be_pulled, command_of, repository_of
from app.sandbox.kubelet.processes import Container, MissingConfiguration, NodePaths, mount_volumes, start_container
from app.sandbox.kubelet.state import PODS, ClusterState
from app.sandbox.objects import Object, annotations_of, name_of, namespace_of
from app.sandbox.times import now, timestamp

PROBE_SECONDS = 0.1
PULL_ATTEMPTS_BEFORE_BACK_OFF = 1.0
LONGEST_RESTART_SECONDS = 10.0

log = logging.getLogger(__name__)


class Kubelet:
    """Runs the pods of one node."""

    def __init__(self, state: ClusterState, paths: NodePaths, node: str) -> None:
        self._state = state
        self._paths = paths
        self._node = node
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[str] = set()
        self._containers: dict[str, dict[str, Container]] = {}
        self.ports: dict[str, dict[int, int]] = {}

    async def reconcile(self) -> None:
        """A task for every pod that has none; pods being deleted are ended."""
        pods = {pod["metadata"]["uid"]: pod for pod in self._state.all(PODS)}
        for uid, pod in pods.items():
            if pod["metadata"].get("deletionTimestamp"):
                if uid not in self._ending:
                    self._ending.add(uid)
                    self._replace_task(uid, self._end(pod))
            elif uid not in self._tasks:
                self._replace_task(uid, self._run(pod))
        for uid in set(self._tasks) - set(pods):
            if uid not in self._ending:
                self._ending.add(uid)
                self._replace_task(uid, self._stop_processes(uid, 0))

    def _replace_task(self, uid: str, work: object) -> None:
        previous = self._tasks.get(uid)
        if previous is not None:
            previous.cancel()
        self._tasks[uid] = asyncio.create_task(_logged(work), name=f"pod {uid}")

    def group_ids(self) -> list[int]:
        """Process groups of all running containers."""
        return [each.process.pid for pod in self._containers.values() for each in pod.values()]

    async def _run(self, pod: Object) -> None:
        if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
            return
        if pod["spec"].get("restartPolicy") == "Never" and _was_running(pod):
            # As a real node finds it after a power failure: the runtime has lost the container.
            lost = {"terminated": {"exitCode": 255, "reason": "Unknown", "finishedAt": timestamp(now())}}
            await self._write(pod, "Failed", self._statuses(pod, lost, restarts=0))
            return
        if pod["spec"].get("nodeName") != self._node:
            wanted = pod["spec"].get("nodeSelector") or {}
            if wanted.items() - {"kubernetes.io/hostname": self._node}.items():
                return  # no node fits, so it stays Pending
            scheduled = await self._state.patch(PODS, pod, {"spec": {"nodeName": self._node}})
            if scheduled is None:
                return
            pod = scheduled
        await self._pull(pod)
        await self._run_init_containers(pod)
        if any(command_of(container) for container in pod["spec"]["containers"]):
            await self._run_processes(pod)
        elif COMPLETES_ANNOTATION in annotations_of(pod):
            await self._write(
                pod, "Succeeded", self._statuses(pod, {"terminated": {"exitCode": 0, "reason": "Completed"}})
            )
        else:
            for container in pod["spec"]["containers"]:
                await mount_volumes(self._state, self._paths, pod, container)
            await self._write(pod, "Running", self._statuses(pod, _running(), ready=True), ready=True)

    async def _pull(self, pod: Object) -> None:
        """Images that cannot be had keep the pod waiting for ever, with the reason a real node gives."""
        containers = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
        missing = next((each["image"] for each in containers if not can_be_pulled(each["image"])), None)
        if missing is None:
            return
        message = f'failed to pull image "{missing}": no such host'
        for reason in ("ErrImagePull", "ImagePullBackOff"):
            waiting = {"waiting": {"reason": reason, "message": message}}
            await self._write(pod, "Pending", self._statuses(pod, waiting))
            await asyncio.sleep(PULL_ATTEMPTS_BEFORE_BACK_OFF)
        await asyncio.Event().wait()

    async def _run_init_containers(self, pod: Object) -> None:
        """One after the other, each to its end; known meanwhile, so that the pod's end is theirs too."""
        uid = str(pod["metadata"]["uid"])
        for container in pod["spec"].get("initContainers") or []:
            if repository_of(container["image"]) != PLUGIN and command_of(container) is not None:
                started = await start_container(self._state, self._paths, pod, container)
                self._containers[uid] = {container["name"]: started}
                self._write_groups()
                await started.process.wait()
                self._containers.pop(uid, None)

    async def _run_processes(self, pod: Object) -> None:
        restarts = _restarts(pod)
        pause = 0.2
        while True:
            try:
                code = await self._one_run(pod, restarts)
            except (MissingConfiguration, ApiError) as error:
                waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": str(error)}}
                await self._write(pod, "Pending", self._statuses(pod, waiting))
                await asyncio.sleep(0.5)
                continue
            policy = pod["spec"].get("restartPolicy", "Always")
            if policy == "Never" or (policy == "OnFailure" and code == 0):
                terminated = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
                phase = "Succeeded" if code == 0 else "Failed"
                await self._write(pod, phase, self._statuses(pod, {"terminated": terminated}, restarts=restarts))
                return
            restarts += 1
            waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off, exit code {code}"}}
            await self._write(pod, "Running", self._statuses(pod, waiting, restarts=restarts))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_RESTART_SECONDS)

    async def _one_run(self, pod: Object, restarts: int) -> int:
        """Start every container of the pod, watch until one ends, and give its exit code."""
        uid = str(pod["metadata"]["uid"])
        started: dict[str, Container] = {}
        for container in pod["spec"]["containers"]:
            if command_of(container) is not None:
                started[container["name"]] = await start_container(self._state, self._paths, pod, container)
        self._containers[uid] = started
        self.ports[uid] = {port: own for each in started.values() for port, own in each.ports.items()}
        self._write_groups()
        waits = [asyncio.create_task(each.process.wait()) for each in started.values()]
        readiness = asyncio.create_task(self._report_readiness(pod, started, restarts))
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            readiness.cancel()
            for wait in waits:
                wait.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await readiness

    async def _report_readiness(self, pod: Object, started: dict[str, Container], restarts: int) -> None:
        await self._write(pod, "Running", self._statuses(pod, _running(), restarts=restarts))
        for container in pod["spec"]["containers"]:
            if container["name"] in started:
                while not await _probe(container.get("readinessProbe"), started[container["name"]].ports):
                    await asyncio.sleep(PROBE_SECONDS)
        await self._write(pod, "Running", self._statuses(pod, _running(), ready=True, restarts=restarts), ready=True)

    async def _end(self, pod: Object) -> None:
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 30)
        await self._stop_processes(pod["metadata"]["uid"], min(grace, 10))
        await self._state.delete(PODS, pod, grace_seconds=0)

    async def _stop_processes(self, uid: str, grace: float) -> None:
        self.ports.pop(uid, None)
        self._state.changed.set()
        containers = self._containers.pop(uid, {})
        await asyncio.gather(*(container.stop(grace) for container in containers.values()))
        self._write_groups()

    def _write_groups(self) -> None:
        """Process groups on disk, so that a power-off can end them without asking this process."""
        path = self._paths.directory / "pods.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(self.group_ids()))
        temporary.replace(path)

    def _statuses(
        self, pod: Object, current: Object, *, ready: bool = False, restarts: int | None = None
    ) -> list[Object]:
        count = _restarts(pod) if restarts is None else restarts
        return [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": container["image"],
                "ready": ready,
                "restartCount": count,
                "state": current,
            }
            for container in pod["spec"]["containers"]
        ]

    async def _write(self, pod: Object, phase: str, statuses: list[Object], *, ready: bool = False) -> None:
        current = self._state.find(PODS, namespace_of(pod), name_of(pod)) or pod
        if current["metadata"]["uid"] != pod["metadata"]["uid"]:
            return
        number = zlib.crc32(pod["metadata"]["uid"].encode()) % 65_000 + 256
        await self._state.set_status(
            PODS,
            current,
            {
                "phase": phase,
                "podIP": f"10.42.{number // 256}.{number % 256}",
                "hostIP": "127.0.0.1",
                "startTime": (current.get("status") or {}).get("startTime") or timestamp(now()),
                "conditions": [
                    {"type": "PodScheduled", "status": "True"},
                    {"type": "Ready", "status": "True" if ready else "False"},
                ],
                "containerStatuses": statuses,
            },
        )


async def _logged(work: object) -> None:
    try:
        await work  # type: ignore[misc]
    except (ApiError, aiohttp.ClientError, OSError, TimeoutError):
        log.exception("a pod's task ended")


def _running() -> Object:
    return {"running": {"startedAt": timestamp(now())}}


def _was_running(pod: Object) -> bool:
    """Whether the pod ran already when this node began: then the node was off meanwhile."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return bool(statuses) and "running" in statuses[0].get("state", {})


def _restarts(pod: Object) -> int:
    """One more than before if the pod ran already."""
    return pod["status"]["containerStatuses"][0]["restartCount"] + 1 if _was_running(pod) else 0


async def _probe(probe: Object | None, ports: dict[int, int]) -> bool:
    """Whether the probed port accepts a connection; an HTTP probe must also be answered well."""
    if probe is None:
        return True
    check = probe.get("httpGet") or probe.get("tcpSocket")
    port = ports.get(int(check["port"])) if check and str(check["port"]).isdigit() else None
    if port is None:
        return True
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return True


def log_text(path: Path) -> str:
    """What a container has written so far."""
    return path.read_text(errors="replace") if path.exists() else ""

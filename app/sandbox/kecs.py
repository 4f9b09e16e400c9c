"""A stand-in for kecs-server: restores poorer copies of services at its start, marks tasks STOPPED at its end.

What KECS's own restoration does, read in its source: a Deployment for every ACTIVE service that has none, with
name, labels and replicas but without environment and volumes; for every running task a pod ``task-<id>`` in
``ecs-<cluster>``.
"""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from app.sandbox.apiclient import ApiError, KubernetesApi
from app.sandbox.components import STORE, create
from app.sandbox.objects import Object


async def main() -> None:
    """Restore, listen, and write the end into the store."""
    data = Path(json.loads(os.environ["KECS_SANDBOX_MOUNTS"])["/data"])
    ports: dict[str, int] = json.loads(os.environ["KECS_SANDBOX_PORTS"])
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", ports["5374"])
    print("This is the kecs-state sandbox's stand-in, not KECS.", flush=True)  # noqa: T201 - the container's log
    store: dict[str, Any] = json.loads((data / STORE).read_text())
    async with server, KubernetesApi.from_kubeconfig(Path(os.environ["KECS_SANDBOX_KUBECONFIG"])) as api:
        for manifest in restoration(store):
            await create_unless_there(api, manifest)
        await stopped.wait()
    for task in store["tasks"]:
        task["last_status"] = "STOPPED"
    (data / STORE).write_text(json.dumps(store))


async def create_unless_there(api: KubernetesApi, manifest: Object) -> None:
    """Create an object; one that is there is left alone."""
    try:
        await create(api, manifest)
    except ApiError as error:
        if error.http_status not in {403, 409}:
            raise


def restoration(store: dict[str, Any]) -> list[Object]:
    """The objects KECS would make of its store."""
    manifests: list[Object] = []
    for service in store["services"]:
        labels = service["labels"]
        selector = {"app": labels["app"], "kecs.dev/service": labels["kecs.dev/service"]}
        container = {"name": service["name"], "image": service["image"]}
        manifests += [
            _namespace(service["namespace"], _cluster_labels(labels)),
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": service["name"], "namespace": service["namespace"], "labels": labels},
                "spec": {
                    "replicas": service["replicas"],
                    "selector": {"matchLabels": selector},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                },
            },
        ]
    for task in store["tasks"]:
        if task["last_status"] != "STOPPED":
            namespace = f"ecs-{task['cluster']}"
            container = {"name": "task", "image": task["image"]}
            manifests += [
                _namespace(namespace, {}),
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": f"task-{task['id']}", "namespace": namespace},
                    "spec": {"restartPolicy": "Always", "containers": [container]},
                },
            ]
    return manifests


def _cluster_labels(labels: dict[str, str]) -> dict[str, str]:
    """What KECS writes on the namespace of an ECS cluster."""
    own = {key: labels[key] for key in ("kecs.dev/cluster", "kecs.dev/region")}
    return {**own, "kecs.dev/managed": "true", "kecs.dev/type": "ecs-cluster"}


def _namespace(name: str, labels: dict[str, str]) -> Object:
    metadata: Object = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


if __name__ == "__main__":
    asyncio.run(main())

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

from app.sandbox.apiclient import ApiError, KubernetesApi
from app.sandbox.components import create
from app.sandbox.kecs_store import STORE, Row, Rows, read_store, write_store
from app.sandbox.objects import Object


async def main() -> None:
    """Restore, listen, and write the end into the store."""
    data = Path(json.loads(os.environ["KECS_SANDBOX_MOUNTS"])["/data"])
    ports: dict[str, int] = json.loads(os.environ["KECS_SANDBOX_PORTS"])
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", ports["5374"])
    print("This is the kecs-state sandbox's stand-in, not KECS.", flush=True)  # noqa: T201 - the container's log
    store = read_store(data / STORE)
    async with server, KubernetesApi.from_kubeconfig(Path(os.environ["KECS_SANDBOX_KUBECONFIG"])) as api:
        for manifest in restoration(store):
            await create_unless_there(api, manifest)
        await stopped.wait()
    # What was seeded meanwhile is in the file and not in what was read at the start.
    store = read_store(data / STORE)
    write_store(data / STORE, store | {"tasks": [task | {"last_status": "STOPPED"} for task in store["tasks"]]})


async def create_unless_there(api: KubernetesApi, manifest: Object) -> None:
    """Create an object; one that is there is left alone."""
    try:
        await create(api, manifest)
    except ApiError as error:
        if error.http_status not in {403, 409}:
            raise


def restoration(store: Rows) -> list[Object]:
    """The objects KECS makes of its store: poorer ones than it had made of requests."""
    images = {row["arn"]: json.loads(row["container_definitions"])[0]["image"] for row in store["task_definitions"]}
    manifests: list[Object] = []
    for service in store["services"]:
        if service["status"] == "ACTIVE":
            manifests += _service(service, images[service["task_definition_arn"]])
    for task in store["tasks"]:
        of_service = (task["task_group"] or "").startswith("service:")
        if task["last_status"] in {"RUNNING", "PENDING"} and not of_service:
            manifests += _task(task, images[task["task_definition_arn"]])
    return manifests


def _service(service: Row, image: str) -> list[Object]:
    name, cluster, region = service["service_name"], _cluster_of(service), service["region"]
    namespace = f"{cluster}-{region}"
    labels = {
        "kecs.dev/cluster": cluster,
        "kecs.dev/region": region,
        "app": name,
        "kecs.dev/service": name,
        "kecs.dev/launch-type": service["launch_type"],
        "kecs.dev/managed-by": "kecs",
    }
    return [
        _namespace(namespace, _cluster_labels(labels)),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "replicas": service["desired_count"],
                "selector": {"matchLabels": {"app": name, "kecs.dev/service": name}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": name, "image": image}]},
                },
            },
        },
    ]


def _task(task: Row, image: str) -> list[Object]:
    namespace = f"ecs-{_cluster_of(task)}"
    return [
        _namespace(namespace, {}),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"task-{task['id']}", "namespace": namespace},
            "spec": {"restartPolicy": "Always", "containers": [{"name": "task", "image": image}]},
        },
    ]


def _cluster_of(row: Row) -> str:
    return str(row["cluster_arn"]).rpartition("/")[2]


def _cluster_labels(labels: dict[str, str]) -> dict[str, str]:
    """What KECS writes on the namespace of an ECS cluster."""
    own = {key: labels[key] for key in ("kecs.dev/cluster", "kecs.dev/region")}
    return {**own, "kecs.dev/managed": "true", "kecs.dev/type": "ecs-cluster"}


def _namespace(name: str, labels: dict[str, str]) -> Object:
    metadata: Object = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


if __name__ == "__main__":
    asyncio.run(main())

"""``python -m app.sandbox.kubelet --directory DIR --mount DATA --node NAME``: the node of one sandbox cluster."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

import aiohttp
import psutil
from aiohttp import web

from app.sandbox.apiclient import ApiError, KubernetesApi
from app.sandbox.kubelet.controllers import reconcile_workloads
from app.sandbox.kubelet.images import images_on_node
from app.sandbox.kubelet.pods import Kubelet, log_text
from app.sandbox.kubelet.processes import NodePaths
from app.sandbox.kubelet.services import reconcile_claims, reconcile_endpoints, write_endpoint_file
from app.sandbox.kubelet.state import NODES, PODS, ClusterState
from app.sandbox.objects import Object
from app.sandbox.times import now, timestamp

URL_ANNOTATION = "sandbox.kecs.dev/kubelet-url"
RESYNC_SECONDS = 5.0
#: Events come in bursts; one turn for all of them.
SETTLE_SECONDS = 0.01

log = logging.getLogger(__name__)


async def run(paths: NodePaths, node: str) -> None:
    """Serve the node until the process ends."""
    async with KubernetesApi.from_kubeconfig(paths.directory / "kubeconfig") as api:
        state = ClusterState(api)
        kubelet = Kubelet(state, paths, node)
        url = await serve(state, kubelet, paths)
        tasks = [asyncio.create_task(informer.run()) for informer in state.informers.values()]
        await register(api, node, url)
        await asyncio.gather(*(informer.synced.wait() for informer in state.informers.values()))
        loop = asyncio.create_task(reconcile_forever(state, kubelet, paths))
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
        for task in (loop, *tasks):
            task.cancel()


async def reconcile_forever(state: ClusterState, kubelet: Kubelet, paths: NodePaths) -> None:
    """One turn of everything after every change, and now and then without one."""
    while True:
        try:
            async with asyncio.timeout(RESYNC_SECONDS):
                await state.changed.wait()
        except TimeoutError:
            pass
        await asyncio.sleep(SETTLE_SECONDS)
        state.changed.clear()
        try:
            await kubelet.reconcile()
            await reconcile_workloads(state)
            await kubelet.reconcile()
            await reconcile_claims(state, paths.directory / "node" / "volumes")
            write_endpoint_file(state, kubelet.ports, paths.directory / "endpoints.json")
            await reconcile_endpoints(state)
        except (ApiError, aiohttp.ClientError, TimeoutError):
            log.exception("a turn of the node failed")
            await asyncio.sleep(0.2)
            state.changed.set()


async def register(api: KubernetesApi, node: str, url: str) -> None:
    """Create or renew the Node object, Ready, with the address of this kubelet."""
    metadata: Object = {"name": node, "annotations": {URL_ANNOTATION: url}, "labels": {"kubernetes.io/hostname": node}}
    try:
        await api.create(NODES, {"metadata": metadata, "spec": {}})
    except ApiError as error:
        if not error.already_exists:
            raise
        await api.merge_patch(NODES, node, {"metadata": {"annotations": {URL_ANNOTATION: url}}})
    status = {
        "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": timestamp(now())}],
        "nodeInfo": {"kubeletVersion": "v1.34.4", "osImage": "kecs-state sandbox"},
        "images": images_on_node(),
        "capacity": {"cpu": str(psutil.cpu_count()), "memory": f"{psutil.virtual_memory().total // 1024}Ki"},
    }
    path = NODES.path(name=node) + "/status"
    await api.request("PATCH", path, body={"status": status}, content_type="application/merge-patch+json")


async def serve(state: ClusterState, kubelet: Kubelet, paths: NodePaths) -> str:
    """Logs and port addresses for the API server, on a loopback port."""

    async def logs(request: web.Request) -> web.Response:
        pod = state.find(PODS, request.match_info["namespace"], request.match_info["pod"])
        if pod is None:
            raise web.HTTPNotFound
        container = request.match_info["container"]
        if container == "_":
            container = pod["spec"]["containers"][0]["name"]
        return web.Response(text=log_text(paths.log(pod, container)))

    async def endpoint(request: web.Request) -> web.Response:
        pod = state.find(PODS, request.match_info["namespace"], request.match_info["pod"])
        port = kubelet.ports.get(pod["metadata"]["uid"], {}).get(int(request.match_info["port"])) if pod else None
        if port is None:
            raise web.HTTPNotFound
        return web.json_response({"host": "127.0.0.1", "port": port})

    application = web.Application()
    application.router.add_get("/logs/{namespace}/{pod}/{container}", logs)
    application.router.add_get(r"/endpoint/{namespace}/{pod}/{port:\d+}", endpoint)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = runner.addresses[0]
    return f"http://127.0.0.1:{address[1]}"


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description="The kecs-state sandbox's node: not a real kubelet.")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--mount", type=Path, required=True)
    parser.add_argument("--node", required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(run(NodePaths(arguments.directory, arguments.mount), arguments.node))


if __name__ == "__main__":
    main()

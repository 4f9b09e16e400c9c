"""Services get their endpoints, claims their volumes."""

import json
from pathlib import Path

from app.sandbox.kubelet.state import (
    CLAIMS,
    ENDPOINTS,
    PODS,
    SERVICES,
    SLICES,
    VOLUMES,
    ClusterState,
    is_ready,
    selects,
)
from app.sandbox.objects import Object, labels_of, name_of, namespace_of

STORAGE_CLASS = "local-path"


def backends(state: ClusterState, service: Object) -> list[Object]:
    """The ready pods a Service selects."""
    selector = {"matchLabels": service["spec"].get("selector") or {}}
    return [
        pod
        for pod in state.all(PODS)
        if namespace_of(pod) == namespace_of(service) and selects(selector, labels_of(pod)) and is_ready(pod)
    ]


async def reconcile_endpoints(state: ClusterState) -> None:
    """Endpoints and an EndpointSlice for every Service with a selector."""
    for service in state.all(SERVICES):
        if not service["spec"].get("selector") or service["metadata"].get("deletionTimestamp"):
            continue
        pods = backends(state, service)
        addresses = [{"ip": pod["status"]["podIP"], "targetRef": _reference(pod)} for pod in pods]
        ports = [{"name": port.get("name", ""), "port": _target(port)} for port in service["spec"].get("ports", [])]
        subsets = [{"addresses": addresses, "ports": ports}] if addresses else []
        metadata = {"name": name_of(service), "namespace": namespace_of(service)}
        known = state.find(ENDPOINTS, namespace_of(service), name_of(service))
        if known is None:
            await state.create(ENDPOINTS, {"metadata": metadata, "subsets": subsets})
        elif (known.get("subsets") or []) != subsets:
            await state.patch(ENDPOINTS, known, {"subsets": subsets})
        else:
            continue
        await _write_slice(state, service, addresses, ports)


async def _write_slice(state: ClusterState, service: Object, addresses: list[Object], ports: list[Object]) -> None:
    body: Object = {
        "metadata": {
            "name": f"{name_of(service)}-sandbox",
            "namespace": namespace_of(service),
            "labels": {"kubernetes.io/service-name": name_of(service)},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address["ip"]], "conditions": {"ready": True}} for address in addresses],
        "ports": ports,
    }
    if await state.create(SLICES, body) is None:
        await state.patch(SLICES, body, {"endpoints": body["endpoints"], "ports": ports})


def _reference(pod: Object) -> Object:
    return {"kind": "Pod", "name": name_of(pod), "namespace": namespace_of(pod), "uid": pod["metadata"]["uid"]}


def _target(port: Object) -> int:
    target = port.get("targetPort", port["port"])
    return target if isinstance(target, int) else int(port["port"])


def write_endpoint_file(state: ClusterState, ports: dict[str, dict[int, int]], path: Path) -> None:
    """Which loopback port stands behind ``name.namespace.svc:port`` and ``clusterIP:port``.

    ``ports`` has, by pod UID, the loopback port each container port listens on.
    """
    found: dict[str, str] = {}
    for service in state.all(SERVICES):
        for pod in backends(state, service):
            for port in service["spec"].get("ports", []):
                listening = ports.get(pod["metadata"]["uid"], {}).get(_target(port))
                if listening is not None:
                    address = f"127.0.0.1:{listening}"
                    found[f"{name_of(service)}.{namespace_of(service)}.svc:{port['port']}"] = address
                    found[f"{service['spec'].get('clusterIP')}:{port['port']}"] = address
    content = json.dumps(found, indent=1, sort_keys=True)
    if not path.exists() or path.read_text() != content:
        temporary = path.with_suffix(".new")
        temporary.write_text(content)
        temporary.replace(path)


async def reconcile_claims(state: ClusterState, directory: Path) -> None:
    """Bind every claim to a hostPath volume of its own, as k3s's local-path provisioner does."""
    for claim in state.all(CLAIMS):
        if (claim.get("status") or {}).get("phase") == "Bound" or claim["metadata"].get("deletionTimestamp"):
            continue
        uid = claim["metadata"]["uid"]
        volume = claim["spec"].get("volumeName") or f"pvc-{uid}"
        await state.create(
            VOLUMES,
            {
                "metadata": {"name": volume},
                "spec": {
                    "capacity": claim["spec"].get("resources", {}).get("requests", {"storage": "1Gi"}),
                    "accessModes": claim["spec"].get("accessModes", ["ReadWriteOnce"]),
                    "persistentVolumeReclaimPolicy": "Delete",
                    "storageClassName": STORAGE_CLASS,
                    "hostPath": {"path": str(directory / volume), "type": "DirectoryOrCreate"},
                    "claimRef": {"namespace": namespace_of(claim), "name": name_of(claim), "uid": uid},
                },
            },
        )
        await state.patch(CLAIMS, claim, {"spec": {"volumeName": volume, "storageClassName": STORAGE_CLASS}})
        await state.set_status(CLAIMS, claim, {"phase": "Bound"})

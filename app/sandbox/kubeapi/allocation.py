"""Cluster IPs and node ports of Services."""

import ipaddress
import random
from collections.abc import Iterable

from app.sandbox.kubeapi.failures import Flaw, invalid
from app.sandbox.kubeapi.objects import Object, entries, mapping

SERVICE_NETWORK = "10.43.0.0/16"
NODE_PORTS = range(30000, 32768)


def allocate(service: Object, others: Iterable[Object], before: Object | None) -> None:
    """Gives the Service its addresses, in place; 422 when one it asks for belongs to another of ``others``."""
    spec, old = service["spec"], mapping(before or {}, "spec")
    if spec.get("type") == "ExternalName":
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)
        return
    specs = [mapping(other, "spec") for other in others]
    _cluster_ip(service, spec, old, {str(one.get("clusterIP")) for one in specs})
    if spec.get("type") in {"NodePort", "LoadBalancer"}:
        taken = {port.get("nodePort") for one in specs for port in entries(one, "ports") if port.get("nodePort")}
        _node_ports(service, spec, old, taken)
    else:
        for port in entries(spec, "ports"):
            port.pop("nodePort", None)


def _cluster_ip(service: Object, spec: Object, old: Object, taken: set[str]) -> None:
    kept = old.get("clusterIP") or ""
    wanted = spec.get("clusterIP") or next(iter(entries(spec, "clusterIPs")), "") or kept
    if kept and wanted != kept:
        raise _invalid(service, Flaw.invalid("spec.clusterIPs[0]", wanted, "may not change once set"))
    if not wanted:
        wanted = _free_address(taken)
    elif wanted != "None" and not kept:
        _check_address(service, wanted, taken)
    spec["clusterIP"], spec["clusterIPs"] = wanted, [wanted]


def _check_address(service: Object, wanted: str, taken: set[str]) -> None:
    try:
        known = ipaddress.ip_address(wanted) in ipaddress.ip_network(SERVICE_NETWORK)
    except ValueError:
        known = False
    if not known:
        why = f"failed to allocate IP {wanted}: the provided IP is not in the valid range {SERVICE_NETWORK}"
        raise _invalid(service, Flaw.invalid("spec.clusterIPs", [wanted], why))
    if wanted in taken:
        why = f"failed to allocate IP {wanted}: provided IP is already allocated"
        raise _invalid(service, Flaw.invalid("spec.clusterIPs", [wanted], why))


def _free_address(taken: set[str]) -> str:
    network = ipaddress.ip_network(SERVICE_NETWORK)
    while True:
        # The first addresses are left for the Services that ask for one, such as the cluster's DNS.
        address = str(network[random.randrange(256, network.num_addresses - 1)])  # noqa: S311 - not a secret
        if address not in taken:
            return address


def _node_ports(service: Object, spec: Object, old: Object, taken: set[object]) -> None:
    kept = {(port.get("name"), port.get("port")): port.get("nodePort") for port in entries(old, "ports")}
    mine: set[object] = set()
    for number, port in enumerate(entries(spec, "ports")):
        wanted = port.get("nodePort") or kept.get((port.get("name"), port.get("port")))
        if not wanted:
            wanted = random.choice([one for one in NODE_PORTS if one not in taken | mine])  # noqa: S311 - not a secret
        elif wanted not in NODE_PORTS:
            why = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            raise _invalid(service, Flaw.invalid(f"spec.ports[{number}].nodePort", wanted, why))
        elif wanted in taken:
            why = "provided port is already allocated"
            raise _invalid(service, Flaw.invalid(f"spec.ports[{number}].nodePort", wanted, why))
        port["nodePort"] = wanted
        mine.add(wanted)


def _invalid(service: Object, flaw: Flaw) -> Exception:
    return invalid("Service", "", str(service["metadata"].get("name", "")), [flaw])

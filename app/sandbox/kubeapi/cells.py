"""What stands in the columns of the built-in kinds where it is not just a field of the object."""

from collections.abc import Callable
from typing import Any

from app.sandbox.kubeapi.durations import age
from app.sandbox.kubeapi.objects import Object, at, entries, mapping

NONE = "<none>"


def reader(path: str) -> Callable[[Object], Any]:
    return lambda obj: at(obj, path)


def joined(items: Any) -> str:
    return ",".join(str(item) for item in items) or NONE


def pairs(labels: Any) -> str:
    return joined(f"{key}={value}" for key, value in (labels or {}).items())


def condition(name: str) -> Callable[[Object], Any]:
    def value(obj: Object) -> Any:
        conditions = entries(mapping(obj, "status"), "conditions")
        return next((one.get("status") for one in conditions if one.get("type") == name), None)

    return value


# Pods -----------------------------------------------------------------------------------------------------------------


def container_statuses(pod: Object) -> list[Object]:
    return entries(mapping(pod, "status"), "containerStatuses")


def pod_ready(pod: Object) -> str:
    ready = sum(1 for one in container_statuses(pod) if one.get("ready"))
    return f"{ready}/{len(entries(mapping(pod, 'spec'), 'containers'))}"


def pod_status(pod: Object) -> str:
    """The most telling reason: of a container that waits or has ended, of the pod, else its phase."""
    status = mapping(pod, "status")
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    for container in container_statuses(pod):
        waiting, ended = (mapping(mapping(container, "state"), state) for state in ("waiting", "terminated"))
        reason = str(waiting.get("reason") or ended.get("reason") or reason)
    return "Terminating" if pod["metadata"].get("deletionTimestamp") else reason


def restarts(pod: Object) -> str:
    return str(sum(int(one.get("restartCount") or 0) for one in container_statuses(pod)))


# Services and addresses -----------------------------------------------------------------------------------------------


def ports(service: Object) -> str:
    return joined(port(one) for one in entries(mapping(service, "spec"), "ports"))


def port(one: Object) -> str:
    node = f":{one['nodePort']}" if one.get("nodePort") else ""
    return f"{one.get('port')}{node}/{one.get('protocol', 'TCP')}"


def external(service: Object) -> str:
    spec = mapping(service, "spec")
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName"))
    found = [one.get("ip") or one.get("hostname") for one in at(service, "status.loadBalancer.ingress") or ()]
    found += entries(spec, "externalIPs")
    return "<pending>" if spec.get("type") == "LoadBalancer" and not found else joined(found)


def endpoints(obj: Object) -> str:
    return joined(
        f"{address.get('ip')}:{port.get('port')}"
        for subset in entries(obj, "subsets")
        for address in entries(subset, "addresses")
        for port in entries(subset, "ports")
    )


def slice_ports(obj: Object) -> str:
    return joined(one.get("port") for one in entries(obj, "ports"))


def slice_addresses(obj: Object) -> str:
    return joined(address for one in entries(obj, "endpoints") for address in entries(one, "addresses"))


def hosts(ingress: Object) -> str:
    return joined(one.get("host") or "*" for one in entries(mapping(ingress, "spec"), "rules"))


def ingress_address(ingress: Object) -> str:
    return ",".join(one.get("ip") or one.get("hostname") for one in at(ingress, "status.loadBalancer.ingress") or ())


def parent(address: Object) -> str:
    parent = at(address, "spec.parentRef") or {}
    place = "/".join(filter(None, (parent.get("namespace"), parent.get("name"))))
    return ".".join(filter(None, (parent.get("resource"), parent.get("group")))) + f"/{place}"


def ingress_ports(ingress: Object) -> str:
    return "80, 443" if at(ingress, "spec.tls") else "80"


# Nodes, jobs, volumes, rights -----------------------------------------------------------------------------------------


def node_status(node: Object) -> str:
    words = {"True": "Ready", None: "Unknown"}
    shown = words.get(condition("Ready")(node), "NotReady")
    return shown + ",SchedulingDisabled" if at(node, "spec.unschedulable") else shown


def roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = mapping(node["metadata"], "labels")
    return joined(sorted(label.removeprefix(prefix) for label in labels if label.startswith(prefix)))


def address(sort: str) -> Callable[[Object], Any]:
    def value(node: Object) -> Any:
        addresses = entries(mapping(node, "status"), "addresses")
        return next((one.get("address") for one in addresses if one.get("type") == sort), None)

    return value


def job_status(job: Object) -> str:
    for end in ("Complete", "Failed", "Suspended"):
        if condition(end)(job) == "True":
            return end
    return "Terminating" if job["metadata"].get("deletionTimestamp") else "Running"


def job_duration(job: Object) -> str:
    began, ended = at(job, "status.startTime"), at(job, "status.completionTime")
    return age(began, until=ended) if began else ""


def modes(path: str) -> Callable[[Object], str]:
    short = {
        "ReadWriteOnce": "RWO",
        "ReadOnlyMany": "ROX",
        "ReadWriteMany": "RWX",
        "ReadWriteOncePod": "RWOP",
    }
    return lambda obj: ",".join(short.get(mode, mode) for mode in at(obj, path) or ())


def claim(volume: Object) -> str:
    claim = at(volume, "spec.claimRef") or {}
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


def role(binding: Object) -> str:
    return f"{at(binding, 'roleRef.kind')}/{at(binding, 'roleRef.name')}"


def subjects(kind: str) -> Callable[[Object], str]:
    def value(binding: Object) -> str:
        found = [one for one in entries(binding, "subjects") if one.get("kind") == kind]
        return ", ".join(f"{one['namespace']}/{one['name']}" if "namespace" in one else one["name"] for one in found)

    return value


def queuing(field: str) -> Callable[[Object], Any]:
    return reader(f"spec.limited.limitResponse.queuing.{field}")


def audiences(driver: Object) -> str:
    return joined(one.get("audience") for one in at(driver, "spec.tokenRequests") or ())


def api_service(obj: Object) -> str:
    service = at(obj, "spec.service")
    return f"{service.get('namespace')}/{service.get('name')}" if service else "Local"


def amounts(*, limits: bool) -> Callable[[Object], str]:
    def value(quota: Object) -> str:
        status = mapping(quota, "status")
        hard, used = mapping(status, "hard"), mapping(status, "used")
        names = [name for name in sorted(hard) if name.startswith("limits.") == limits]
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return value


def controllers(revision: Object) -> str:
    owners = [one for one in entries(revision["metadata"], "ownerReferences") if one.get("controller")]
    return joined(f"{one['kind'].lower()}.{one['apiVersion'].partition('/')[0]}/{one['name']}" for one in owners)


def request(csr: Object) -> str:
    found = [str(one.get("type")) for one in entries(mapping(csr, "status"), "conditions")] or ["Pending"]
    return ",".join(found + (["Issued"] if at(csr, "status.certificate") else []))


def involved(event: Object) -> str:
    involved = mapping(event, "involvedObject")
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def last_seen(event: Object) -> Any:
    series = at(event, "series.lastObservedTime")
    return series or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")

"""The columns Kubernetes prints of each built-in kind. A path in place of a function is read from the object."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.sandbox.kubeapi.durations import age
from app.sandbox.kubeapi.objects import Object, at, entries, mapping

NONE = "<none>"


@dataclass(frozen=True)
class Column:
    """One column; ``priority`` 1 is shown by ``-o wide`` only, ``absent`` stands where there is no value."""

    name: str
    value: Callable[[Object], Any]
    type: str = "string"
    priority: int = 0
    absent: Any = None

    def definition(self) -> Object:
        kind = "string" if self.type == "date" else self.type
        return {"name": self.name, "type": kind, "format": "", "description": self.name, "priority": self.priority}


def _text(name: str, source: str | Callable[[Object], Any], absent: Any = NONE, *, wide: bool = False) -> Column:
    value = source if callable(source) else _reader(source)
    return Column(name, value, priority=int(wide), absent=absent)


def _number(name: str, source: str | Callable[[Object], Any], absent: Any = 0) -> Column:
    value = source if callable(source) else _reader(source)
    return Column(name, value, type="integer", absent=absent)


def _reader(path: str) -> Callable[[Object], Any]:
    return lambda obj: at(obj, path)


def _count(path: str) -> Callable[[Object], int]:
    return lambda obj: len(at(obj, path) or ())


def _joined(items: Any) -> str:
    return ",".join(str(item) for item in items) or NONE


def _pairs(labels: Any) -> str:
    return _joined(f"{key}={value}" for key, value in (labels or {}).items())


def _selector(path: str) -> Callable[[Object], str]:
    return lambda obj: _pairs(at(obj, f"{path}.matchLabels"))


def _of_containers(field: str, path: str = "spec.template.spec") -> Callable[[Object], str]:
    return lambda obj: _joined(one.get(field) for one in entries(at(obj, path) or {}, "containers"))


def _ready_of(wanted: str, ready: str) -> Callable[[Object], str]:
    return lambda obj: f"{at(obj, ready) or 0}/{at(obj, wanted) or 0}"


def _condition(name: str) -> Callable[[Object], Any]:
    def value(obj: Object) -> Any:
        conditions = entries(mapping(obj, "status"), "conditions")
        return next((one.get("status") for one in conditions if one.get("type") == name), None)

    return value


# Pods -----------------------------------------------------------------------------------------------------------------


def _container_statuses(pod: Object) -> list[Object]:
    return entries(mapping(pod, "status"), "containerStatuses")


def _pod_ready(pod: Object) -> str:
    ready = sum(1 for one in _container_statuses(pod) if one.get("ready"))
    return f"{ready}/{len(entries(mapping(pod, 'spec'), 'containers'))}"


def _pod_status(pod: Object) -> str:
    """The most telling reason: of a container that waits or has ended, of the pod, else its phase."""
    status = mapping(pod, "status")
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    for container in _container_statuses(pod):
        waiting, ended = (mapping(mapping(container, "state"), state) for state in ("waiting", "terminated"))
        reason = str(waiting.get("reason") or ended.get("reason") or reason)
    return "Terminating" if pod["metadata"].get("deletionTimestamp") else reason


def _restarts(pod: Object) -> str:
    return str(sum(int(one.get("restartCount") or 0) for one in _container_statuses(pod)))


# Services and addresses -----------------------------------------------------------------------------------------------


def _ports(service: Object) -> str:
    return _joined(_port(one) for one in entries(mapping(service, "spec"), "ports"))


def _port(port: Object) -> str:
    node = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"


def _external(service: Object) -> str:
    spec = mapping(service, "spec")
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName"))
    found = [one.get("ip") or one.get("hostname") for one in at(service, "status.loadBalancer.ingress") or ()]
    found += entries(spec, "externalIPs")
    return "<pending>" if spec.get("type") == "LoadBalancer" and not found else _joined(found)


def _endpoints(obj: Object) -> str:
    return _joined(
        f"{address.get('ip')}:{port.get('port')}"
        for subset in entries(obj, "subsets")
        for address in entries(subset, "addresses")
        for port in entries(subset, "ports")
    )


def _slice_ports(obj: Object) -> str:
    return _joined(one.get("port") for one in entries(obj, "ports"))


def _slice_addresses(obj: Object) -> str:
    return _joined(address for one in entries(obj, "endpoints") for address in entries(one, "addresses"))


def _hosts(ingress: Object) -> str:
    return _joined(one.get("host") or "*" for one in entries(mapping(ingress, "spec"), "rules"))


def _ingress_address(ingress: Object) -> str:
    return ",".join(one.get("ip") or one.get("hostname") for one in at(ingress, "status.loadBalancer.ingress") or ())


def _parent(address: Object) -> str:
    parent = at(address, "spec.parentRef") or {}
    place = "/".join(filter(None, (parent.get("namespace"), parent.get("name"))))
    return ".".join(filter(None, (parent.get("resource"), parent.get("group")))) + f"/{place}"


def _ingress_ports(ingress: Object) -> str:
    return "80, 443" if at(ingress, "spec.tls") else "80"


# Nodes, jobs, volumes, rights -----------------------------------------------------------------------------------------


def _node_status(node: Object) -> str:
    words = {"True": "Ready", None: "Unknown"}
    shown = words.get(_condition("Ready")(node), "NotReady")
    return shown + ",SchedulingDisabled" if at(node, "spec.unschedulable") else shown


def _roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = mapping(node["metadata"], "labels")
    return _joined(sorted(label.removeprefix(prefix) for label in labels if label.startswith(prefix)))


def _address(sort: str) -> Callable[[Object], Any]:
    def value(node: Object) -> Any:
        addresses = entries(mapping(node, "status"), "addresses")
        return next((one.get("address") for one in addresses if one.get("type") == sort), None)

    return value


def _job_status(job: Object) -> str:
    for condition, shown in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended")):
        if _condition(condition)(job) == "True":
            return shown
    return "Terminating" if job["metadata"].get("deletionTimestamp") else "Running"


def _job_duration(job: Object) -> str:
    began, ended = at(job, "status.startTime"), at(job, "status.completionTime")
    return age(began, until=ended) if began else ""


def _modes(path: str) -> Callable[[Object], str]:
    short = {
        "ReadWriteOnce": "RWO",
        "ReadOnlyMany": "ROX",
        "ReadWriteMany": "RWX",
        "ReadWriteOncePod": "RWOP",
    }
    return lambda obj: ",".join(short.get(mode, mode) for mode in at(obj, path) or ())


def _claim(volume: Object) -> str:
    claim = at(volume, "spec.claimRef") or {}
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


def _role(binding: Object) -> str:
    return f"{at(binding, 'roleRef.kind')}/{at(binding, 'roleRef.name')}"


def _subjects(kind: str) -> Callable[[Object], str]:
    def value(binding: Object) -> str:
        found = [one for one in entries(binding, "subjects") if one.get("kind") == kind]
        return ", ".join(f"{one['namespace']}/{one['name']}" if "namespace" in one else one["name"] for one in found)

    return value


def _queuing(field: str) -> Callable[[Object], Any]:
    return _reader(f"spec.limited.limitResponse.queuing.{field}")


def _audiences(driver: Object) -> str:
    return _joined(one.get("audience") for one in at(driver, "spec.tokenRequests") or ())


def _api_service(obj: Object) -> str:
    service = at(obj, "spec.service")
    return f"{service.get('namespace')}/{service.get('name')}" if service else "Local"


def _amounts(*, limits: bool) -> Callable[[Object], str]:
    def value(quota: Object) -> str:
        status = mapping(quota, "status")
        hard, used = mapping(status, "hard"), mapping(status, "used")
        names = [name for name in sorted(hard) if name.startswith("limits.") == limits]
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return value


def _controllers(revision: Object) -> str:
    owners = [one for one in entries(revision["metadata"], "ownerReferences") if one.get("controller")]
    return _joined(f"{one['kind'].lower()}.{one['apiVersion'].partition('/')[0]}/{one['name']}" for one in owners)


def _request(csr: Object) -> str:
    found = [str(one.get("type")) for one in entries(mapping(csr, "status"), "conditions")] or ["Pending"]
    return ",".join(found + (["Issued"] if at(csr, "status.certificate") else []))


def _involved(event: Object) -> str:
    involved = mapping(event, "involvedObject")
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _last_seen(event: Object) -> Any:
    series = at(event, "series.lastObservedTime")
    return series or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")


_NAME = _text("Name", "metadata.name")
_AGE = Column("Age", _reader("metadata.creationTimestamp"), type="date")
_CREATED = _text("Created At", "metadata.creationTimestamp")
_CONTAINERS = (
    _text("Containers", _of_containers("name"), wide=True),
    _text("Images", _of_containers("image"), wide=True),
)
_SELECTOR = _text("Selector", _selector("spec.selector"), wide=True)
_BINDING = (
    _text("Role", _role), _AGE, _text("Users", _subjects("User"), wide=True),
    _text("Groups", _subjects("Group"), wide=True), _text("ServiceAccounts", _subjects("ServiceAccount"), wide=True),
)  # fmt: skip
_REPLICAS = (
    _number("Desired", "spec.replicas"), _number("Current", "status.replicas"),
    _number("Ready", "status.readyReplicas"), _AGE, *_CONTAINERS,
)  # fmt: skip
_WEBHOOKS = (_number("Webhooks", _count("webhooks")), _AGE)

#: Kinds without columns of their own, custom ones among them.
PLAIN = (_NAME, _AGE)
_TABLE: dict[str, tuple[Column, ...]] = {
    "pods": (
        _text("Ready", _pod_ready), _text("Status", _pod_status), _text("Restarts", _restarts), _AGE,
        _text("IP", "status.podIP", wide=True), _text("Node", "spec.nodeName", wide=True),
        _text("Nominated Node", "status.nominatedNodeName", wide=True),
        _text("Readiness Gates", lambda _: NONE, wide=True),
    ),
    "podtemplates": (
        _text("Containers", _of_containers("name", "template.spec")),
        _text("Images", _of_containers("image", "template.spec")),
        _text("Pod Labels", lambda obj: _pairs(at(obj, "template.metadata.labels"))),
    ),
    "poddisruptionbudgets.policy": (
        _text("Min Available", "spec.minAvailable", "N/A"), _text("Max Unavailable", "spec.maxUnavailable", "N/A"),
        _number("Allowed Disruptions", "status.disruptionsAllowed"), _AGE,
    ),
    "replicationcontrollers": (
        *_REPLICAS, _text("Selector", lambda obj: _pairs(at(obj, "spec.selector")), wide=True),
    ),
    "replicasets.apps": (*_REPLICAS, _SELECTOR),
    "daemonsets.apps": (
        _number("Desired", "status.desiredNumberScheduled"), _number("Current", "status.currentNumberScheduled"),
        _number("Ready", "status.numberReady"), _number("Up-to-date", "status.updatedNumberScheduled"),
        _number("Available", "status.numberAvailable"),
        _text("Node Selector", lambda obj: _pairs(at(obj, "spec.template.spec.nodeSelector"))), _AGE,
        *_CONTAINERS, _SELECTOR,
    ),
    "deployments.apps": (
        _text("Ready", _ready_of("spec.replicas", "status.readyReplicas")),
        _number("Up-to-date", "status.updatedReplicas"), _number("Available", "status.availableReplicas"), _AGE,
        *_CONTAINERS, _SELECTOR,
    ),
    "statefulsets.apps": (
        _text("Ready", _ready_of("spec.replicas", "status.readyReplicas")), _AGE, *_CONTAINERS,
    ),
    "controllerrevisions.apps": (
        _text("Controller", _controllers), _number("Revision", "revision"), _AGE,
    ),
    "jobs.batch": (
        _text("Status", _job_status), _text("Completions", _ready_of("spec.completions", "status.succeeded")),
        Column("Duration", _job_duration), _AGE, *_CONTAINERS, _SELECTOR,
    ),
    "cronjobs.batch": (
        _text("Schedule", "spec.schedule"), _text("Timezone", "spec.timeZone"),
        Column("Suspend", lambda obj: str(bool(at(obj, "spec.suspend")))), _number("Active", _count("status.active")),
        _text("Last Schedule", "status.lastScheduleTime"), _AGE,
        _text("Containers", _of_containers("name", "spec.jobTemplate.spec.template.spec"), wide=True),
        _text("Images", _of_containers("image", "spec.jobTemplate.spec.template.spec"), wide=True),
        _text("Selector", _selector("spec.jobTemplate.spec.selector"), wide=True),
    ),
    "services": (
        _text("Type", "spec.type"), _text("Cluster-IP", "spec.clusterIP"), _text("External-IP", _external),
        _text("Port(s)", _ports), _AGE, _text("Selector", lambda obj: _pairs(at(obj, "spec.selector")), wide=True),
    ),
    "endpoints": (_text("Endpoints", _endpoints), _AGE),
    "endpointslices.discovery.k8s.io": (
        _text("AddressType", "addressType"), _text("Ports", _slice_ports), _text("Endpoints", _slice_addresses), _AGE,
    ),
    "ingresses.networking.k8s.io": (
        _text("Class", "spec.ingressClassName"), _text("Hosts", _hosts), _text("Address", _ingress_address),
        _text("Ports", _ingress_ports), _AGE,
    ),
    "ingressclasses.networking.k8s.io": (
        _text("Controller", "spec.controller"), _text("Parameters", "spec.parameters.name"), _AGE,
    ),
    "networkpolicies.networking.k8s.io": (_text("Pod-Selector", _selector("spec.podSelector")), _AGE),
    "ipaddresses.networking.k8s.io": (_text("ParentRef", _parent),),
    "servicecidrs.networking.k8s.io": (_text("CIDRs", lambda obj: _joined(at(obj, "spec.cidrs") or ())), _AGE),
    "nodes": (
        _text("Status", _node_status), _text("Roles", _roles), _AGE,
        _text("Version", "status.nodeInfo.kubeletVersion"),
        _text("Internal-IP", _address("InternalIP"), wide=True),
        _text("External-IP", _address("ExternalIP"), wide=True),
        _text("OS-Image", "status.nodeInfo.osImage", "<unknown>", wide=True),
        _text("Kernel-Version", "status.nodeInfo.kernelVersion", "<unknown>", wide=True),
        _text("Container-Runtime", "status.nodeInfo.containerRuntimeVersion", "<unknown>", wide=True),
    ),
    "namespaces": (_text("Status", "status.phase"), _AGE),
    "configmaps": (
        _number("Data", lambda obj: len(obj.get("data") or ()) + len(obj.get("binaryData") or ())), _AGE,
    ),
    "secrets": (_text("Type", "type"), _number("Data", _count("data")), _AGE),
    "serviceaccounts": (_number("Secrets", _count("secrets")), _AGE),
    "persistentvolumes": (
        _text("Capacity", "spec.capacity.storage", ""), _text("Access Modes", _modes("spec.accessModes")),
        _text("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"), _text("Status", "status.phase"),
        _text("Claim", _claim), _text("StorageClass", "spec.storageClassName", ""),
        _text("VolumeAttributesClass", "spec.volumeAttributesClassName", "<unset>"),
        _text("Reason", "status.reason", ""), _AGE, _text("VolumeMode", "spec.volumeMode", "<unset>", wide=True),
    ),
    "persistentvolumeclaims": (
        _text("Status", "status.phase"), _text("Volume", "spec.volumeName", ""),
        _text("Capacity", "status.capacity.storage", ""), _text("Access Modes", _modes("status.accessModes")),
        _text("StorageClass", "spec.storageClassName", ""),
        _text("VolumeAttributesClass", "spec.volumeAttributesClassName", "<unset>"), _AGE,
        _text("VolumeMode", "spec.volumeMode", "<unset>", wide=True),
    ),
    "storageclasses.storage.k8s.io": (
        _text("Provisioner", "provisioner"), _text("ReclaimPolicy", "reclaimPolicy", "Delete"),
        _text("VolumeBindingMode", "volumeBindingMode", "Immediate"),
        Column("AllowVolumeExpansion", lambda obj: bool(obj.get("allowVolumeExpansion"))), _AGE,
    ),
    "csidrivers.storage.k8s.io": (
        Column("AttachRequired", _reader("spec.attachRequired"), type="boolean", absent=True),
        Column("PodInfoOnMount", _reader("spec.podInfoOnMount"), type="boolean", absent=False),
        Column("StorageCapacity", _reader("spec.storageCapacity"), type="boolean", absent=False),
        _text("TokenRequests", _audiences),
        Column("RequiresRepublish", _reader("spec.requiresRepublish"), type="boolean", absent=False),
        _text("Modes", lambda obj: _joined(at(obj, "spec.volumeLifecycleModes") or ())), _AGE,
    ),
    "csinodes.storage.k8s.io": (_number("Drivers", _count("spec.drivers")), _AGE),
    "volumeattachments.storage.k8s.io": (
        _text("Attacher", "spec.attacher"), _text("PV", "spec.source.persistentVolumeName"),
        _text("Node", "spec.nodeName"), Column("Attached", _reader("status.attached")), _AGE,
    ),
    "roles.rbac.authorization.k8s.io": (_CREATED,),
    "clusterroles.rbac.authorization.k8s.io": (_CREATED,),
    "rolebindings.rbac.authorization.k8s.io": _BINDING,
    "clusterrolebindings.rbac.authorization.k8s.io": _BINDING,
    "customresourcedefinitions.apiextensions.k8s.io": (_CREATED,),
    "apiservices.apiregistration.k8s.io": (
        _text("Service", _api_service), _text("Available", _condition("Available"), "Unknown"), _AGE,
    ),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _WEBHOOKS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _WEBHOOKS,
    "priorityclasses.scheduling.k8s.io": (
        _number("Value", "value"), Column("Global-Default", lambda obj: bool(obj.get("globalDefault"))), _AGE,
        _text("PreemptionPolicy", "preemptionPolicy", "PreemptLowerPriority"),
    ),
    "leases.coordination.k8s.io": (_text("Holder", "spec.holderIdentity", ""), _AGE),
    "horizontalpodautoscalers.autoscaling": (
        _text("Reference", lambda obj: f"{at(obj, 'spec.scaleTargetRef.kind')}/{at(obj, 'spec.scaleTargetRef.name')}"),
        _text("Targets", lambda _: "<unknown>"), _number("MinPods", "spec.minReplicas", 1),
        _number("MaxPods", "spec.maxReplicas"), _number("Replicas", "status.currentReplicas"), _AGE,
    ),
    "limitranges": (_CREATED,),
    "resourcequotas": (
        _text("Request", _amounts(limits=False)), _text("Limit", _amounts(limits=True)), _AGE,
    ),
    "certificatesigningrequests.certificates.k8s.io": (
        _AGE, _text("SignerName", "spec.signerName"), _text("Requestor", "spec.username"),
        _text("RequestedDuration", "spec.expirationSeconds"), _text("Condition", _request),
    ),
    "flowschemas.flowcontrol.apiserver.k8s.io": (
        _text("PriorityLevel", "spec.priorityLevelConfiguration.name"),
        _number("MatchingPrecedence", "spec.matchingPrecedence"),
        _text("DistinguisherMethod", "spec.distinguisherMethod.type"), _AGE,
        _text("MissingPL", _condition("Dangling"), "?"),
    ),
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": (
        _text("Type", "spec.type"), _text("NominalConcurrencyShares", "spec.limited.nominalConcurrencyShares"),
        _text("Queues", _queuing("queues")), _text("HandSize", _queuing("handSize")),
        _text("QueueLengthLimit", _queuing("queueLengthLimit")), _AGE,
    ),
}  # fmt: skip
_EVENTS = (
    Column("Last Seen", _last_seen, type="date"), _text("Type", "type"), _text("Reason", "reason"),
    _text("Object", _involved), _text("Subobject", "involvedObject.fieldPath", "", wide=True),
    _text("Source", "source.component", "", wide=True), _text("Message", "message", ""),
    Column("First Seen", _reader("firstTimestamp"), type="date", priority=1),
    Column("Count", _reader("count"), type="string", priority=1, absent="1"),
    _text("Name", "metadata.name", wide=True),
)  # fmt: skip
#: By storage. Every row begins with the name but those of events.
COLUMNS = {storage: (_NAME, *columns) for storage, columns in _TABLE.items()} | {"events": _EVENTS}

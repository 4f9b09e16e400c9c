"""The columns Kubernetes prints of each built-in kind. A path in place of a function is read from the object."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.sandbox.kubeapi import cells
from app.sandbox.kubeapi.objects import Object, at, entries


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


def _text(name: str, source: str | Callable[[Object], Any], absent: Any = cells.NONE, *, wide: bool = False) -> Column:
    value = source if callable(source) else cells.reader(source)
    return Column(name, value, priority=int(wide), absent=absent)


def _number(name: str, source: str | Callable[[Object], Any], absent: Any = 0) -> Column:
    value = source if callable(source) else cells.reader(source)
    return Column(name, value, type="integer", absent=absent)


def _count(path: str) -> Callable[[Object], int]:
    return lambda obj: len(at(obj, path) or ())


def _selector(path: str) -> Callable[[Object], str]:
    return lambda obj: cells.pairs(at(obj, f"{path}.matchLabels"))


def _of_containers(field: str, path: str = "spec.template.spec") -> Callable[[Object], str]:
    return lambda obj: cells.joined(one.get(field) for one in entries(at(obj, path) or {}, "containers"))


def _ready_of(wanted: str, ready: str) -> Callable[[Object], str]:
    return lambda obj: f"{at(obj, ready) or 0}/{at(obj, wanted) or 0}"


_NAME = _text("Name", "metadata.name")
_AGE = Column("Age", cells.reader("metadata.creationTimestamp"), type="date")
_CREATED = _text("Created At", "metadata.creationTimestamp")
_CONTAINERS = (
    _text("Containers", _of_containers("name"), wide=True),
    _text("Images", _of_containers("image"), wide=True),
)
_SELECTOR = _text("Selector", _selector("spec.selector"), wide=True)
_BINDING = (
    _text("Role", cells.role), _AGE, _text("Users", cells.subjects("User"), wide=True),
    _text("Groups", cells.subjects("Group"), wide=True),
    _text("ServiceAccounts", cells.subjects("ServiceAccount"), wide=True),
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
        _text("Ready", cells.pod_ready), _text("Status", cells.pod_status), _text("Restarts", cells.restarts), _AGE,
        _text("IP", "status.podIP", wide=True), _text("Node", "spec.nodeName", wide=True),
        _text("Nominated Node", "status.nominatedNodeName", wide=True),
        _text("Readiness Gates", lambda _: cells.NONE, wide=True),
    ),
    "podtemplates": (
        _text("Containers", _of_containers("name", "template.spec")),
        _text("Images", _of_containers("image", "template.spec")),
        _text("Pod Labels", lambda obj: cells.pairs(at(obj, "template.metadata.labels"))),
    ),
    "poddisruptionbudgets.policy": (
        _text("Min Available", "spec.minAvailable", "N/A"), _text("Max Unavailable", "spec.maxUnavailable", "N/A"),
        _number("Allowed Disruptions", "status.disruptionsAllowed"), _AGE,
    ),
    "replicationcontrollers": (
        *_REPLICAS, _text("Selector", lambda obj: cells.pairs(at(obj, "spec.selector")), wide=True),
    ),
    "replicasets.apps": (*_REPLICAS, _SELECTOR),
    "daemonsets.apps": (
        _number("Desired", "status.desiredNumberScheduled"), _number("Current", "status.currentNumberScheduled"),
        _number("Ready", "status.numberReady"), _number("Up-to-date", "status.updatedNumberScheduled"),
        _number("Available", "status.numberAvailable"),
        _text("Node Selector", lambda obj: cells.pairs(at(obj, "spec.template.spec.nodeSelector"))), _AGE,
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
        _text("Controller", cells.controllers), _number("Revision", "revision"), _AGE,
    ),
    "jobs.batch": (
        _text("Status", cells.job_status), _text("Completions", _ready_of("spec.completions", "status.succeeded")),
        Column("Duration", cells.job_duration), _AGE, *_CONTAINERS, _SELECTOR,
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
        _text("Type", "spec.type"), _text("Cluster-IP", "spec.clusterIP"), _text("External-IP", cells.external),
        _text("Port(s)", cells.ports), _AGE,
        _text("Selector", lambda obj: cells.pairs(at(obj, "spec.selector")), wide=True),
    ),
    "endpoints": (_text("Endpoints", cells.endpoints), _AGE),
    "endpointslices.discovery.k8s.io": (
        _text("AddressType", "addressType"), _text("Ports", cells.slice_ports),
        _text("Endpoints", cells.slice_addresses), _AGE,
    ),
    "ingresses.networking.k8s.io": (
        _text("Class", "spec.ingressClassName"), _text("Hosts", cells.hosts), _text("Address", cells.ingress_address),
        _text("Ports", cells.ingress_ports), _AGE,
    ),
    "ingressclasses.networking.k8s.io": (
        _text("Controller", "spec.controller"), _text("Parameters", "spec.parameters.name"), _AGE,
    ),
    "networkpolicies.networking.k8s.io": (_text("Pod-Selector", _selector("spec.podSelector")), _AGE),
    "ipaddresses.networking.k8s.io": (_text("ParentRef", cells.parent),),
    "servicecidrs.networking.k8s.io": (_text("CIDRs", lambda obj: cells.joined(at(obj, "spec.cidrs") or ())), _AGE),
    "nodes": (
        _text("Status", cells.node_status), _text("Roles", cells.roles), _AGE,
        _text("Version", "status.nodeInfo.kubeletVersion"),
        _text("Internal-IP", cells.address("InternalIP"), wide=True),
        _text("External-IP", cells.address("ExternalIP"), wide=True),
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
        _text("Capacity", "spec.capacity.storage", ""), _text("Access Modes", cells.modes("spec.accessModes")),
        _text("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"), _text("Status", "status.phase"),
        _text("Claim", cells.claim), _text("StorageClass", "spec.storageClassName", ""),
        _text("VolumeAttributesClass", "spec.volumeAttributesClassName", "<unset>"),
        _text("Reason", "status.reason", ""), _AGE, _text("VolumeMode", "spec.volumeMode", "<unset>", wide=True),
    ),
    "persistentvolumeclaims": (
        _text("Status", "status.phase"), _text("Volume", "spec.volumeName", ""),
        _text("Capacity", "status.capacity.storage", ""), _text("Access Modes", cells.modes("status.accessModes")),
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
        Column("AttachRequired", cells.reader("spec.attachRequired"), type="boolean", absent=True),
        Column("PodInfoOnMount", cells.reader("spec.podInfoOnMount"), type="boolean", absent=False),
        Column("StorageCapacity", cells.reader("spec.storageCapacity"), type="boolean", absent=False),
        _text("TokenRequests", cells.audiences),
        Column("RequiresRepublish", cells.reader("spec.requiresRepublish"), type="boolean", absent=False),
        _text("Modes", lambda obj: cells.joined(at(obj, "spec.volumeLifecycleModes") or ())), _AGE,
    ),
    "csinodes.storage.k8s.io": (_number("Drivers", _count("spec.drivers")), _AGE),
    "volumeattachments.storage.k8s.io": (
        _text("Attacher", "spec.attacher"), _text("PV", "spec.source.persistentVolumeName"),
        _text("Node", "spec.nodeName"), Column("Attached", cells.reader("status.attached")), _AGE,
    ),
    "roles.rbac.authorization.k8s.io": (_CREATED,),
    "clusterroles.rbac.authorization.k8s.io": (_CREATED,),
    "rolebindings.rbac.authorization.k8s.io": _BINDING,
    "clusterrolebindings.rbac.authorization.k8s.io": _BINDING,
    "customresourcedefinitions.apiextensions.k8s.io": (_CREATED,),
    "apiservices.apiregistration.k8s.io": (
        _text("Service", cells.api_service), _text("Available", cells.condition("Available"), "Unknown"), _AGE,
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
        _text("Request", cells.amounts(limits=False)), _text("Limit", cells.amounts(limits=True)), _AGE,
    ),
    "certificatesigningrequests.certificates.k8s.io": (
        _AGE, _text("SignerName", "spec.signerName"), _text("Requestor", "spec.username"),
        _text("RequestedDuration", "spec.expirationSeconds"), _text("Condition", cells.request),
    ),
    "flowschemas.flowcontrol.apiserver.k8s.io": (
        _text("PriorityLevel", "spec.priorityLevelConfiguration.name"),
        _number("MatchingPrecedence", "spec.matchingPrecedence"),
        _text("DistinguisherMethod", "spec.distinguisherMethod.type"), _AGE,
        _text("MissingPL", cells.condition("Dangling"), "?"),
    ),
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": (
        _text("Type", "spec.type"), _text("NominalConcurrencyShares", "spec.limited.nominalConcurrencyShares"),
        _text("Queues", cells.queuing("queues")), _text("HandSize", cells.queuing("handSize")),
        _text("QueueLengthLimit", cells.queuing("queueLengthLimit")), _AGE,
    ),
}  # fmt: skip
_EVENTS = (
    Column("Last Seen", cells.last_seen, type="date"), _text("Type", "type"), _text("Reason", "reason"),
    _text("Object", cells.involved), _text("Subobject", "involvedObject.fieldPath", "", wide=True),
    _text("Source", "source.component", "", wide=True), _text("Message", "message", ""),
    Column("First Seen", cells.reader("firstTimestamp"), type="date", priority=1),
    Column("Count", cells.reader("count"), type="string", priority=1, absent="1"),
    _text("Name", "metadata.name", wide=True),
)  # fmt: skip
#: By storage. Every row begins with the name but those of events.
COLUMNS = {storage: (_NAME, *columns) for storage, columns in _TABLE.items()} | {"events": _EVENTS}

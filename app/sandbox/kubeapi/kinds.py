"""What is served: one ``Kind`` per group, version and resource, and the built-in table."""

from dataclasses import dataclass, field
from functools import cached_property

from app.sandbox.kubeapi.objects import Object, encode

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Kind:
    """One served resource in one version. ``storage`` names where its objects lie, shared between versions."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    singular: str = ""
    has_status: bool = False
    has_scale: bool = False
    has_generation: bool = False
    custom: bool = False
    shared_storage: str = ""
    categories: tuple[str, ...] = ()
    list_kind: str = ""
    review: bool = False
    """A question that is answered and not stored."""
    schema: Object | None = field(default=None, compare=False)
    """Of a custom kind, as its definition has it."""
    columns: tuple[Object, ...] = field(default=(), compare=False)
    """A definition's ``additionalPrinterColumns``."""

    @property
    def resource(self) -> str:
        """``pods`` or ``deployments.apps``, as messages write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def storage(self) -> str:
        return self.shared_storage or self.resource

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def head(self) -> str:
        """The opening of every object of this kind in JSON, up to its third field."""
        return encode({"kind": self.kind, "apiVersion": self.api_version})[:-1] + ","

    def describe(self) -> dict[str, object]:
        """The entry of the group version's resource list."""
        entry: dict[str, object] = {
            "name": self.plural,
            "singularName": self.singular or self.kind.lower(),
            "namespaced": self.namespaced,
            "kind": self.kind,
            "verbs": self._verbs(),
        }
        if self.short_names:
            entry["shortNames"] = list(self.short_names)
        if self.categories:
            entry["categories"] = list(self.categories)
        return entry

    def _verbs(self) -> list[str]:
        if self.review:
            return ["create"]
        return [verb for verb in VERBS if verb != "deletecollection" or self.resource != "namespaces"]


# group/version -> "plural Kind shortnames flags": N namespaced, S status subresource, X scale, G generation,
# R a review, which is only asked for.
_TABLE = {
    "v1": """
        configmaps ConfigMap cm N
        endpoints Endpoints ep N
        events Event ev N
        limitranges LimitRange limits N
        namespaces Namespace ns S
        nodes Node no S
        persistentvolumeclaims PersistentVolumeClaim pvc NS
        persistentvolumes PersistentVolume pv S
        pods Pod po NSG
        podtemplates PodTemplate - N
        replicationcontrollers ReplicationController rc NSXG
        resourcequotas ResourceQuota quota NS
        secrets Secret - N
        serviceaccounts ServiceAccount sa N
        services Service svc NS""",
    "apiregistration.k8s.io/v1": "apiservices APIService - S",
    "apps/v1": """
        controllerrevisions ControllerRevision - N
        daemonsets DaemonSet ds NSG
        deployments Deployment deploy NSXG
        replicasets ReplicaSet rs NSXG
        statefulsets StatefulSet sts NSXG""",
    "events.k8s.io/v1": "events Event ev N",
    "autoscaling/v2": "horizontalpodautoscalers HorizontalPodAutoscaler hpa NS",
    "batch/v1": """
        cronjobs CronJob cj NSG
        jobs Job - NSG""",
    "authentication.k8s.io/v1": """
        selfsubjectreviews SelfSubjectReview - R
        tokenreviews TokenReview - R""",
    "authorization.k8s.io/v1": """
        selfsubjectaccessreviews SelfSubjectAccessReview - R
        selfsubjectrulesreviews SelfSubjectRulesReview - R
        subjectaccessreviews SubjectAccessReview - R""",
    "certificates.k8s.io/v1": "certificatesigningrequests CertificateSigningRequest csr S",
    "networking.k8s.io/v1": """
        ingressclasses IngressClass - G
        ingresses Ingress ing NSG
        ipaddresses IPAddress ip -
        networkpolicies NetworkPolicy netpol NG
        servicecidrs ServiceCIDR - S""",
    "policy/v1": "poddisruptionbudgets PodDisruptionBudget pdb NSG",
    "rbac.authorization.k8s.io/v1": """
        clusterrolebindings ClusterRoleBinding - -
        clusterroles ClusterRole - -
        rolebindings RoleBinding - N
        roles Role - N""",
    "storage.k8s.io/v1": """
        csidrivers CSIDriver - -
        csinodes CSINode - -
        storageclasses StorageClass sc -
        volumeattachments VolumeAttachment - S""",
    "admissionregistration.k8s.io/v1": """
        mutatingwebhookconfigurations MutatingWebhookConfiguration - G
        validatingwebhookconfigurations ValidatingWebhookConfiguration - G""",
    "apiextensions.k8s.io/v1": "customresourcedefinitions CustomResourceDefinition crd,crds SG",
    "scheduling.k8s.io/v1": "priorityclasses PriorityClass pc G",
    "coordination.k8s.io/v1": "leases Lease - N",
    "discovery.k8s.io/v1": "endpointslices EndpointSlice - NG",
    "flowcontrol.apiserver.k8s.io/v1": """
        flowschemas FlowSchema - SG
        prioritylevelconfigurations PriorityLevelConfiguration - SG""",
}
_IN_ALL = frozenset({
    "pods", "services", "replicationcontrollers", "deployments.apps", "daemonsets.apps", "replicasets.apps",
    "statefulsets.apps", "jobs.batch", "cronjobs.batch", "horizontalpodautoscalers.autoscaling",
})  # fmt: skip


def _kind(group_version: str, row: str) -> Kind:
    group, _, version = group_version.rpartition("/")
    plural, kind, short_names, flags = row.split()
    resource = f"{plural}.{group}" if group else plural
    return Kind(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        namespaced="N" in flags,
        short_names=() if short_names == "-" else tuple(short_names.split(",")),
        has_status="S" in flags,
        has_scale="X" in flags,
        has_generation="G" in flags,
        review="R" in flags,
        # Events are one set of objects under two names.
        shared_storage="events" if plural == "events" else "",
        categories=("all",) if resource in _IN_ALL else (),
    )


def built_in_kinds() -> list[Kind]:
    """In the order in which discovery lists them."""
    return [_kind(group_version, row) for group_version, rows in _TABLE.items() for row in rows.strip().splitlines()]

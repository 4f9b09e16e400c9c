"""What Velero's account may do in the cluster: everything, or just what its work takes.

Wildcards would not be the least: a rule for ``*`` takes in subresources, so reading everything would let Velero run
commands in pods (``get pods/exec``), and making everything would let it have any account's token. So every kind is
named: those the API server offers may be read, and those a backup holds may be written while it is being restored.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from app.concurrency import side_by_side
from app.errors import StackNotReady
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    SUBJECT_ACCESS_REVIEWS,
    Resource,
)
from app.settings import StackSettings
from app.velero.models import ALL_TYPES
from app.velero.stack.manifests import LABELS, VELERO, Manifest

READ = ["get", "list", "watch"]
WRITE = ["create", "patch", "update"]
#: An API server learns of a changed role by a watch of its own, within milliseconds.
EFFECT_SECONDS = 10.0
POLL_SECONDS = 0.05

_GROUP = CLUSTER_ROLES.group


async def grant(kube: KubeClient, settings: StackSettings) -> None:
    """The account's rights as the setting says; an administrator's are taken away when they are not wanted any more.

    With ``least-privilege`` it may read every kind there is now and do anything in its own namespace; what a restore
    writes is granted for the time of the restore (``allow_restoring``).
    """
    if settings.rbac == "cluster-admin":
        await kube.apply(CLUSTER_ROLE_BINDINGS, binding_manifest(settings, VELERO, "cluster-admin"))
        return
    # Its own types are read everywhere too; at the first wake they are not there yet.
    readable = [*(await kube.discover()).resources, *ALL_TYPES]
    reads, restores = _name(settings, "reads"), _name(settings, "restores")
    await side_by_side(
        kube.apply(CLUSTER_ROLES, role_manifest(reads, reading_rules(readable))),
        kube.apply(CLUSTER_ROLES, role_manifest(restores, [])),
        kube.apply(CLUSTER_ROLE_BINDINGS, binding_manifest(settings, reads, reads)),
        kube.apply(CLUSTER_ROLE_BINDINGS, binding_manifest(settings, restores, restores)),
        kube.apply(ROLES, own_role_manifest(settings)),
        kube.apply(ROLE_BINDINGS, own_binding_manifest(settings)),
    )
    await kube.delete(CLUSTER_ROLE_BINDINGS, _binding_name(settings, VELERO))


async def allow_restoring(kube: KubeClient, settings: StackSettings, kinds: Iterable[str]) -> None:
    """Let the account write these kinds (``deployments.apps``) and no others, and wait until that counts.

    Raises ``StackNotReady`` if the API server goes on refusing. Nothing to do for an administrator, nor beside a
    Velero of somebody else, whose rights are its owner's business.
    """
    role = _name(settings, "restores")
    if settings.rbac == "cluster-admin" or await kube.find(CLUSTER_ROLES, role) is None:
        return
    allowed = {NAMESPACES.group_resource, *kinds}
    await kube.apply(CLUSTER_ROLES, role_manifest(role, restoring_rules(allowed)))
    try:
        async with asyncio.timeout(EFFECT_SECONDS):
            while not all(await side_by_side(*(_may_create(kube, settings, kind) for kind in allowed))):
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise StackNotReady(
            f"ClusterRole {role!r} was not in force within {EFFECT_SECONDS:g} s: Velero could not restore",
            remedy="See what else than RBAC decides in this cluster, or use KECS_STATE_STACK__RBAC=cluster-admin.",
        ) from None


async def forbid_restoring(kube: KubeClient, settings: StackSettings) -> None:
    """Take back what ``allow_restoring`` gave."""
    role = _name(settings, "restores")
    if settings.rbac == "least-privilege" and await kube.find(CLUSTER_ROLES, role) is not None:
        await kube.apply(CLUSTER_ROLES, role_manifest(role, []))


async def _may_create(kube: KubeClient, settings: StackSettings, kind: str) -> bool:
    plural, _, group = kind.partition(".")
    question = {
        "user": f"system:serviceaccount:{settings.namespace}:{VELERO}",
        "resourceAttributes": {"verb": "create", "group": group, "resource": plural},
    }
    review = await kube.create(SUBJECT_ACCESS_REVIEWS, {"metadata": {}, "spec": question})
    return bool(review["status"]["allowed"])


def reading_rules(resources: Iterable[Resource]) -> list[Manifest]:
    """One rule per API group; subresources are no kinds of their own and stay out."""
    return _rules((resource.group_resource for resource in resources), READ)


def restoring_rules(kinds: Iterable[str]) -> list[Manifest]:
    """Reading too, since a kind that comes with its definition was not there when reading was granted.

    Neither ``escalate`` nor ``bind``: of roles only those that grant what the account has itself can be restored.
    """
    return _rules(kinds, READ + WRITE)


def _rules(kinds: Iterable[str], verbs: list[str]) -> list[Manifest]:
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for kind in kinds:
        plural, _, group = kind.partition(".")
        groups[group].add(plural)
    return [
        {"apiGroups": [group], "resources": sorted(plurals), "verbs": verbs}
        for group, plurals in sorted(groups.items())
    ]


def role_manifest(name: str, rules: list[Manifest]) -> Manifest:
    """A ClusterRole with exactly these rules."""
    return {
        "apiVersion": CLUSTER_ROLES.api_version,
        "kind": CLUSTER_ROLES.kind,
        "metadata": {"name": name, "labels": LABELS},
        "rules": rules,
    }


def binding_manifest(settings: StackSettings, name: str, role: str) -> Manifest:
    """A ClusterRole for Velero's account, in every namespace."""
    return {
        "apiVersion": CLUSTER_ROLE_BINDINGS.api_version,
        "kind": CLUSTER_ROLE_BINDINGS.kind,
        "metadata": {"name": _binding_name(settings, name), "labels": LABELS},
        "roleRef": {"apiGroup": _GROUP, "kind": CLUSTER_ROLES.kind, "name": role},
        "subjects": [_account(settings)],
    }


def own_role_manifest(settings: StackSettings) -> Manifest:
    """Everything in Velero's own namespace, where nothing but the stack is."""
    return {
        "apiVersion": ROLES.api_version,
        "kind": ROLES.kind,
        "metadata": {"name": VELERO, "namespace": settings.namespace, "labels": LABELS},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    }


def own_binding_manifest(settings: StackSettings) -> Manifest:
    """That role for Velero's account."""
    return {
        "apiVersion": ROLE_BINDINGS.api_version,
        "kind": ROLE_BINDINGS.kind,
        "metadata": {"name": VELERO, "namespace": settings.namespace, "labels": LABELS},
        "roleRef": {"apiGroup": _GROUP, "kind": ROLES.kind, "name": VELERO},
        "subjects": [_account(settings)],
    }


def _account(settings: StackSettings) -> Manifest:
    return {"kind": "ServiceAccount", "name": VELERO, "namespace": settings.namespace}


def _name(settings: StackSettings, what: str) -> str:
    """Of a role that is not bound to a namespace, told apart by the namespace of its Velero."""
    return f"{VELERO}-{what}" if settings.namespace == VELERO else f"{VELERO}-{settings.namespace}-{what}"


def _binding_name(settings: StackSettings, name: str) -> str:
    return f"{VELERO}-{settings.namespace}" if name == VELERO and settings.namespace != VELERO else name

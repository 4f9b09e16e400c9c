"""KECS's view of an instance against what a backup holds."""

from app.host.ecs_state import EcsObject
from app.proof.archive import Archive, ArchivedObject
from app.proof.coverage import compare_with_index
from app.proof.models import ObjectKey

NAMESPACE = "shop-us-east-1"
THERE = ArchivedObject(uid="u", resource_version="1", controller="", not_restorable="")
CLUSTER = EcsObject(kind="cluster", name="shop", cluster="shop", namespace=NAMESPACE, object=NAMESPACE)


def known(kind: str, name: str, *, pod: str = "", service: str = "") -> EcsObject:
    return EcsObject.model_validate(
        {
            "kind": kind,
            "name": name,
            "cluster": "shop",
            "namespace": NAMESPACE,
            "object": pod or name,
            "service": service,
        }
    )


def archive(**objects: ArchivedObject) -> Archive:
    """Keys as ``resource__name``; the cluster's namespace is always there."""
    names = {"deployment": "deployments.apps", "pod": "pods", "map": "configmaps"}
    items = {ObjectKey(resource="namespaces", namespace="", name=NAMESPACE): THERE}
    for name, item in objects.items():
        kind, _, rest = name.partition("__")
        items[ObjectKey(resource=names[kind], namespace=NAMESPACE, name=rest)] = item
    return Archive(items, "1.1.0")


def statuses(objects: list[EcsObject], held: Archive) -> dict[str, str]:
    return {f"{entry.kind} {entry.name}": entry.status for entry in compare_with_index(objects, held)}


def test_what_the_backup_holds_is_covered_and_what_not_is_missing() -> None:
    """By kind and place."""
    objects = [CLUSTER, known("service", "web"), known("service", "cart"), known("task", "t1"), known("task", "t2")]
    assert statuses(objects, archive(deployment__web=THERE, pod__t1=THERE, pod__cart=THERE)) == {
        "cluster shop": "covered",
        "service web": "covered",
        "service cart": "missing",
        "task t1": "covered",
        "task t2": "missing",
        "task cart": "extra",
    }


def test_a_task_of_a_service_is_covered_by_its_service() -> None:
    """Its Deployment makes it anew; without one, only its own pod would."""
    objects = [known("service", "web"), known("task", "t1", pod="web-1", service="web")]
    objects.append(known("task", "t2", pod="cart-1", service="cart"))
    assert statuses(objects, archive(deployment__web=THERE)) == {
        "service web": "covered",
        "task t1": "covered",
        "task t2": "missing",
        "cluster shop": "extra",
    }


def test_a_task_that_had_finished_at_the_backup_is_not_covered() -> None:
    """No restore brings it back."""
    ended = ArchivedObject(uid="u", resource_version="1", controller="", not_restorable="it has finished")
    assert statuses([CLUSTER, known("task", "t1")], archive(pod__t1=ended))["task t1"] == "missing"


def test_only_what_could_be_ecs_is_extra() -> None:
    """Not further objects, not pods of a controller, not namespaces of other people."""
    owned = ArchivedObject(uid="u", resource_version="1", controller="owner", not_restorable="")
    held = archive(deployment__new=THERE, pod__of_new=owned, map__settings=THERE)
    held.items[ObjectKey(resource="deployments.apps", namespace="internal", name="proxy")] = THERE
    held.items[ObjectKey(resource="namespaces", namespace="", name="internal")] = THERE
    assert statuses([CLUSTER], held) == {"cluster shop": "covered", "service new": "extra"}


def test_a_whole_cluster_that_kecs_does_not_tell_of_is_extra() -> None:
    """Known by the name KECS gives its namespace."""
    assert statuses([], archive(deployment__web=THERE)) == {"cluster shop": "extra", "service web": "extra"}

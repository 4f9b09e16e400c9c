"""The cluster held against an archive after a restore: whole objects, not names."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import CONFIG_MAPS, SECRETS, Resource
from app.proof.archive import ArchiveDamaged
from app.proof.comparison import compare_with_backup
from tests.proof.archives import VERSION, Object, a_tar, an_archive, an_object, written


async def made(kube: KubeClient, resource: Resource, namespace: str, name: str, **content: Any) -> Object:
    """One live object, as a backup would hold it."""
    body = {"metadata": {"name": name}, **content}
    found = await kube.create(resource, body, namespace)
    return {**found, "apiVersion": resource.api_version, "kind": resource.kind}


async def test_what_is_as_it_was_is_equal(kube: KubeClient, namespace: str, tmp_path: Path) -> None:
    """Though made anew; what was not looked at is counted by its rule."""
    before = await made(kube, CONFIG_MAPS, namespace, "settings", data={"a": "1"})
    await kube.delete(CONFIG_MAPS, "settings", namespace)
    await made(kube, CONFIG_MAPS, namespace, "settings", data={"a": "1"})
    outcome = await compare_with_backup(kube, written(tmp_path / "a", an_archive([before])))
    assert (outcome.compared, outcome.equal, outcome.missing, outcome.differing) == (1, 1, [], [])
    assert outcome.ignored["metadata.uid"] == 1


async def test_what_did_not_come_back_is_missing(kube: KubeClient, namespace: str, tmp_path: Path) -> None:
    """By its key."""
    objects = [an_object("ConfigMap", "gone", namespace), an_object("ConfigMap", "gone", "no-such-namespace")]
    outcome = await compare_with_backup(kube, written(tmp_path / "a", an_archive(objects)))
    assert [str(key) for key in outcome.missing] == [
        f"configmaps {namespace}/gone",
        "configmaps no-such-namespace/gone",
    ]
    assert (outcome.compared, outcome.equal) == (2, 0)


async def test_objects_of_a_type_that_is_not_served_are_missing(kube: KubeClient, tmp_path: Path) -> None:
    """Perhaps its definition did not come back either."""
    widget = {"metadata": {"name": "w", "namespace": "shop"}}
    places = ("namespaces/shop/w.json", "v1-preferredversion/namespaces/shop/w.json")
    content = json.dumps(widget).encode()
    members = [VERSION, *((f"resources/widgets.example.com/{place}", content) for place in places)]
    outcome = await compare_with_backup(kube, written(tmp_path / "a", gzip.compress(a_tar(members))))
    assert [str(key) for key in outcome.missing] == ["widgets.example.com shop/w"]


async def test_a_changed_field_is_named_with_both_values(kube: KubeClient, namespace: str, tmp_path: Path) -> None:
    """Anywhere in the object."""
    before = await made(kube, CONFIG_MAPS, namespace, "settings", data={"a": "1", "b": "2"})
    await kube.merge_patch(CONFIG_MAPS, "settings", {"data": {"b": "3"}}, namespace)
    outcome = await compare_with_backup(kube, written(tmp_path / "a", an_archive([before])))
    ((key, fields),) = outcome.differing
    assert str(key) == f"configmaps {namespace}/settings"
    assert [(field.path, field.before, field.after) for field in fields] == [("/data/b", "2", "3")]


async def test_a_changed_secret_is_found_and_not_shown(kube: KubeClient, namespace: str, tmp_path: Path) -> None:
    """Neither the old value nor the new one."""
    old, new = (base64.b64encode(word).decode() for word in (b"old-password", b"new-password"))
    before = await made(kube, SECRETS, namespace, "login", data={"password": old})
    await kube.merge_patch(SECRETS, "login", {"data": {"password": new}}, namespace)
    outcome = await compare_with_backup(kube, written(tmp_path / "a", an_archive([before])))
    assert [field.path for field in outcome.differing[0][1]] == ["/data/password"]
    assert old not in repr(outcome)
    assert new not in repr(outcome)


async def test_what_no_restore_brings_back_is_a_class_of_its_own(kube: KubeClient, tmp_path: Path) -> None:
    """Finished work by nature, a controller's objects because it makes them itself."""
    owners = [{"uid": "uid-ReplicaSet-web", "controller": True}]
    objects = [
        an_object("Pod", "finished", status={"phase": "Succeeded"}),
        an_object("Pod", "controlled", metadata={"ownerReferences": owners}),
        an_object("ReplicaSet", "web"),
    ]
    outcome = await compare_with_backup(kube, written(tmp_path / "a", an_archive(objects)))
    assert [(str(key), reason) for key, reason in outcome.not_restorable] == [("pods shop/finished", "it has finished")]
    assert [str(key) for key in outcome.left_to_controller] == ["pods shop/controlled"]
    assert [str(key) for key in outcome.missing] == ["replicasets.apps shop/web"]


async def test_only_what_is_wanted_is_compared(kube: KubeClient, tmp_path: Path) -> None:
    """After a selective restore."""
    objects = [an_object("ConfigMap", "a"), an_object("ConfigMap", "b"), an_object("Pod", "p", status={})]
    outcome = await compare_with_backup(kube, written(tmp_path / "a", an_archive(objects)), lambda key: key.name == "a")
    assert [key.name for key in outcome.missing] == ["a"]


async def test_a_damaged_archive_is_an_error_and_no_comparison(kube: KubeClient, tmp_path: Path) -> None:
    """Half a comparison would look like a good one."""
    with pytest.raises(ArchiveDamaged):
        await compare_with_backup(kube, written(tmp_path / "a", an_archive([])[:-9]))

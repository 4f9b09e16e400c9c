"""The pure rules of the stack: CRDs, images, trouble, freshness, imports, webhooks."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.errors import StackNotReady
from app.settings import ImageSettings, StackSettings
from app.velero.bodies import asks_for_the_same, imported_backup, imported_volume, policy_config_map
from app.velero.images import gone_from_registry, images, known_defect, normal_reference
from app.velero.models import ALL_TYPES, parse_backup
from app.velero.preflight import concerns_backups
from app.velero.stack.crds import parse_definitions, remembered_definitions, require_filter_policies
from app.velero.stack.freshness import available_since, is_old
from app.velero.stack.troubles import image_missing, troubles_of

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def definition(plural: str, spec_fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """A CRD as Velero prints it."""
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": spec_fields or {}}}}
    return {
        "kind": "CustomResourceDefinition",
        "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {"name": f"{plural}.velero.io", "creationTimestamp": None, "labels": {"component": "velero"}},
        "spec": {"names": {"plural": plural}, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]},
        "status": {"conditions": None},
    }


PRINTED = [definition(resource.plural, {"resourcePolicy": {}}) for resource in ALL_TYPES]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"kind": "List", "items": PRINTED}),
        "\n".join(json.dumps(item, indent=1) for item in PRINTED),
        "time=now level=info\n" + json.dumps({"kind": "List", "items": PRINTED}),
    ],
)
def test_definitions_are_read_however_velero_prints_them(text: str) -> None:
    """A List, single documents, or lines of a log before them; status and null fields are dropped."""
    found = parse_definitions(text)
    assert len(found) == 13
    assert "status" not in found[0]
    assert found[0]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kecs-state"


def test_an_image_that_prints_something_else_is_refused() -> None:
    """A mirror may serve another image under the name."""
    with pytest.raises(StackNotReady, match="did not print the CRDs"):
        parse_definitions("sh: velero: not found")


def test_a_velero_whose_restores_would_drop_the_policy_is_refused() -> None:
    """Up to 1.18.2 the field is pruned in silence and a repair would restore everything."""
    require_filter_policies(PRINTED, "new")
    with pytest.raises(StackNotReady, match="older than"):
        require_filter_policies([definition("restores")], "old")


def test_remembered_definitions_belong_to_one_image(tmp_path: Path) -> None:
    """Another image, or a damaged file, means that they are read anew."""
    cache = tmp_path / "crds.json"
    cache.write_text(json.dumps({"image": "velero:1", "definitions": PRINTED}))
    assert remembered_definitions(cache, "velero:1") == PRINTED
    assert remembered_definitions(cache, "velero:2") is None
    cache.write_text("{")
    assert remembered_definitions(cache, "velero:1") is None


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("velero/velero:v1", "docker.io/velero/velero:v1"),
        ("localhost:5000/velero", "localhost:5000/velero:latest"),
        ("quay.io/minio/minio:R", "quay.io/minio/minio:R"),
        ("minio/minio@sha256:00", "docker.io/minio/minio@sha256:00"),
    ],
)
def test_references_are_compared_in_one_form(short: str, full: str) -> None:
    """Nodes list images with registry and tag."""
    assert normal_reference(short) == full


def test_images_that_cannot_work_are_known() -> None:
    """MinIO on Docker Hub is gone; one plugin version corrupts."""
    assert gone_from_registry("minio/minio:latest")
    assert not gone_from_registry(ImageSettings().minio)
    assert known_defect("docker.io/velero/velero-plugin-for-aws:v1.14.2")
    assert not known_defect(ImageSettings().velero_plugin)


def test_images_name_their_setting_and_whether_it_was_used() -> None:
    """For mirrors and air-gapped machines."""
    listed = {image.role: image for image in images(ImageSettings(minio="mirror.example/minio:1"))}
    assert listed["minio"].overridden
    assert not listed["velero"].overridden
    assert listed["minio"].setting == "KECS_STATE_STACK__IMAGES__MINIO"


def waiting(reason: str, **metadata: Any) -> dict[str, Any]:
    """A pod whose one container waits."""
    return {
        "metadata": {"name": "minio-0"} | metadata,
        "spec": {"containers": [{"name": "minio", "image": "registry.invalid/minio:1"}]},
        "status": {"containerStatuses": [{"name": "minio", "state": {"waiting": {"reason": reason, "message": "no"}}}]},
    }


def test_a_container_without_its_image_is_trouble() -> None:
    """Named by the reference of the manifest."""
    (trouble,) = troubles_of(waiting("ImagePullBackOff"))
    assert (trouble.pod, trouble.image, trouble.reason) == ("minio-0", "registry.invalid/minio:1", "ImagePullBackOff")


def test_starting_and_leaving_pods_are_no_trouble() -> None:
    """Only lasting reasons of pods that are meant to run count."""
    assert not list(troubles_of(waiting("ContainerCreating")))
    assert not list(troubles_of(waiting("ErrImagePull", deletionTimestamp="2026-01-01T00:00:00Z")))


def test_a_missing_image_names_the_setting_to_override() -> None:
    """The remedy must work for somebody who has never seen the code."""
    settings = StackSettings(images=ImageSettings(minio="registry.invalid/minio:1"))
    error = image_missing(settings, "registry.invalid/minio:1", "ErrImagePull: no such host")
    assert "KECS_STATE_STACK__IMAGES__MINIO" in error.remedy
    assert error.extras["image"] == "registry.invalid/minio:1"


@pytest.mark.parametrize(
    ("pod_age", "type_age", "expected"),
    [(60, 30, True), (30, 60, False), (3600, 1800, True), (1800, 3600, False), (30, 35, True)],
)
def test_knowledge_is_old_when_a_type_may_have_been_missed(pod_age: int, type_age: int, *, expected: bool) -> None:
    """Served since Velero's pod was made, or hardly longer; ages in seconds."""
    started, since = NOW - timedelta(seconds=pod_age), NOW - timedelta(seconds=type_age)
    assert is_old([started], [since, NOW - timedelta(days=1)]) is expected


def test_a_group_counts_from_when_it_answers() -> None:
    """Its APIService may be older than Velero, and its server have come up afterwards; one without an answer is out."""
    condition = {"type": "Available", "status": "True", "lastTransitionTime": "2026-01-01T00:10:00Z"}
    service = {"metadata": {"name": "v1.late", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"group": "late"}}
    assert available_since(service | {"status": {"conditions": [condition]}}) == datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
    assert available_since(service | {"status": {"conditions": [condition | {"status": "False"}]}}) is None


STORED = {
    "metadata": {"name": "b", "uid": "old", "resourceVersion": "7", "labels": {"a": "b"}, "managedFields": [{}]},
    "spec": {"ttl": "1h", "storageLocation": "elsewhere"},
    "status": {"phase": "Completed", "expiration": "2020-01-01T00:00:00Z"},
}


def test_an_imported_backup_keeps_its_phase_and_outlives_its_expiration() -> None:
    """An expired one would be deleted from the bucket within seconds."""
    body = imported_backup(STORED, "velero", "default")
    assert body["metadata"] == {
        "name": "b", "namespace": "velero", "labels": {"a": "b", "velero.io/storage-location": "default"}
    }  # fmt: skip
    assert body["spec"] == {"ttl": "1h", "storageLocation": "default"}
    assert body["status"]["phase"] == "Completed"
    assert datetime.fromisoformat(body["status"]["expiration"]) > datetime.now(UTC) + timedelta(days=36_000)


def test_an_imported_volume_belongs_to_the_new_backup() -> None:
    """Its label and its owner carry the new UID."""
    backup = parse_backup({"metadata": {"name": "b", "uid": "new"}})
    body = imported_volume({"metadata": {"name": "b-x", "labels": {"velero.io/backup-uid": "old"}}}, backup, "velero")
    assert body["metadata"]["labels"]["velero.io/backup-uid"] == "new"
    assert body["metadata"]["ownerReferences"][0]["uid"] == "new"


def test_a_specification_completed_by_velero_still_asks_for_the_same() -> None:
    """Defaults and longer exclude lists are Velero's; another namespace is another backup."""
    wanted = {"ttl": "1h0m0s", "excludedNamespaces": ["velero"]}
    completed = {"ttl": "1h0m0s", "excludedNamespaces": ["velero", "marked"], "csiSnapshotTimeout": "10m0s"}
    assert asks_for_the_same(completed, wanted)
    assert not asks_for_the_same(completed | {"excludedNamespaces": []}, wanted)
    assert not asks_for_the_same(completed | {"ttl": "2h0m0s"}, wanted)


def test_equal_policies_share_a_config_map() -> None:
    """Its name comes from its content, and it has the one key Velero accepts."""
    first = policy_config_map({"version": "v1", "a": 1}, "velero")
    assert first == policy_config_map({"a": 1, "version": "v1"}, "velero")
    assert first["metadata"]["name"] != policy_config_map({"version": "v1"}, "velero")["metadata"]["name"]
    assert list(first["data"]) == ["policy"]


def webhook(**changes: Any) -> dict[str, Any]:
    """A webhook for everything."""
    rule = {"apiGroups": ["*"], "resources": ["*/*"], "operations": ["CREATE"], "apiVersions": ["*"]}
    return {"name": "policy.example", "rules": [rule]} | changes


def test_webhooks_that_backups_pass_through_are_found() -> None:
    """By rules, policy and selectors; a webhook fails closed unless it says otherwise."""
    assert concerns_backups(webhook(), "velero")
    assert not concerns_backups(webhook(failurePolicy="Ignore"), "velero")
    assert not concerns_backups(
        webhook(rules=[{"apiGroups": ["apps"], "resources": ["*"], "operations": ["*"]}]), "velero"
    )
    assert not concerns_backups(webhook(namespaceSelector={"matchLabels": {"kecs.dev/managed": "true"}}), "velero")
    elsewhere = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["velero"]}
    assert not concerns_backups(webhook(namespaceSelector={"matchExpressions": [elsewhere]}), "velero")

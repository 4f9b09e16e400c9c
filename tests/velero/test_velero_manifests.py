"""The stack's manifests as data: what they promise to the cluster and to people."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from app.settings import StackSettings
from app.storage.encryption import EncryptionKey, StoreEncryption
from app.storage.s3 import S3Credentials
from app.velero.stack import manifests
from app.velero.stack.external import ExternalPlace, external_credentials_manifest, external_location_manifest
from app.velero.stack.manifests import MinioPlace

SETTINGS = StackSettings()
KEYS = S3Credentials("user", "kept-quiet")
PLACE = MinioPlace("/data/minio-data", 1000, 1001)

THERE = ExternalPlace(
    url="https://store:9000",
    public_url="https://s3.example.com",
    bucket="backups",
    prefix="team/shop",
    region="eu-west-1",
    path_style=False,
    authority=b"-----BEGIN CERTIFICATE-----",
    credentials=KEYS,
)

ALL: list[dict[str, Any]] = [
    manifests.namespace_manifest(SETTINGS),
    manifests.service_account_manifest(SETTINGS),
    manifests.network_policy_manifest(SETTINGS),
    manifests.credentials_manifest(SETTINGS, KEYS),
    manifests.repository_password_manifest(SETTINGS, "password"),
    manifests.minio_service_manifest(SETTINGS),
    manifests.minio_manifest(SETTINGS, PLACE),
    manifests.velero_manifest(SETTINGS, minio_cluster_ip="10.43.0.9"),
    manifests.storage_location_manifest(SETTINGS),
    external_credentials_manifest(SETTINGS, THERE),
    external_location_manifest(SETTINGS, "default", THERE),
    manifests.definitions_pod_manifest(SETTINGS, "velero-crds"),
]


def containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Every container of a pod or of a workload's template, init containers first."""
    spec = manifest["spec"].get("template", manifest)["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


RUNNING = [manifest for manifest in ALL if manifest["kind"] in {"StatefulSet", "Deployment", "Pod"}]


def test_everything_says_whose_it_is() -> None:
    """Scope and foreign detection go by these two labels."""
    for manifest in ALL:
        labels = manifest["metadata"]["labels"]
        assert labels["component"] == "velero"
        assert labels["app.kubernetes.io/managed-by"] == "kecs-state"


@pytest.mark.parametrize("manifest", RUNNING, ids=lambda manifest: manifest["kind"])
def test_no_container_pulls_always_or_gains_rights(manifest: dict[str, Any]) -> None:
    """Imported images must work offline."""
    for container in containers(manifest):
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_minio_runs_as_the_owner_of_its_directory_on_the_host() -> None:
    """So that the host's user can remove what MinIO wrote."""
    pod = manifests.minio_manifest(SETTINGS, PLACE)["spec"]["template"]["spec"]
    assert {"runAsUser": 1000, "runAsGroup": 1001, "runAsNonRoot": True}.items() <= pod["securityContext"].items()
    assert pod["volumes"][0]["hostPath"] == {"path": "/data/minio-data", "type": "DirectoryOrCreate"}
    assert pod["containers"][0]["readinessProbe"]["periodSeconds"] == 1


def test_a_directory_of_root_is_served_by_root() -> None:
    """Otherwise nobody could write it; the kubelet would refuse the pod besides."""
    pod = manifests.minio_manifest(SETTINGS, MinioPlace("/data", 0, 0))["spec"]["template"]["spec"]
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsNonRoot"]) == (0, False)


@pytest.mark.parametrize("manifest", RUNNING, ids=lambda manifest: manifest["kind"])
def test_every_container_is_confined(manifest: dict[str, Any]) -> None:
    """No capability, nothing written but into volumes."""
    for container in containers(manifest):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_velero_never_runs_as_root() -> None:
    """By number: of a user's name a kubelet cannot tell whether it is root's."""
    deployment = manifests.velero_manifest(SETTINGS, minio_cluster_ip="10.43.0.9")
    context = deployment["spec"]["template"]["spec"]["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 1002)


def test_nothing_is_published() -> None:
    """A Service of type ClusterIP, and no port of the node."""
    spec = manifests.minio_service_manifest(SETTINGS)["spec"]
    assert spec["type"] == "ClusterIP"
    assert all("nodePort" not in port for port in spec["ports"])
    assert "hostPort" not in str(RUNNING)


def test_the_way_to_minio_is_made_before_it_is_ready() -> None:
    """A connection that falls into the moment in which a node makes the way would hang for half a minute."""
    assert manifests.minio_service_manifest(SETTINGS)["spec"]["publishNotReadyAddresses"] is True


def test_only_veleros_namespace_reaches_minio() -> None:
    """One rule, one source, one port."""
    spec = manifests.network_policy_manifest(SETTINGS)["spec"]
    assert spec["podSelector"]["matchLabels"].items() <= manifests.MINIO_POD_LABELS.items()
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"from": [{"podSelector": {}}], "ports": [{"port": 9000, "protocol": "TCP"}]}]


def test_no_secret_stands_in_a_pod() -> None:
    """Keys come from Secrets only, never as arguments or plain variables."""
    assert "kept-quiet" not in str(RUNNING)


def test_the_credentials_serve_minio_and_velero() -> None:
    """One Secret: MinIO's variables and the AWS file."""
    data = manifests.credentials_manifest(SETTINGS, KEYS)["data"]
    decoded = {key: base64.b64decode(value).decode() for key, value in data.items()}
    assert decoded["MINIO_ROOT_USER"] == "user"
    assert decoded["cloud"] == "[default]\naws_access_key_id=user\naws_secret_access_key=kept-quiet\n"


def test_without_encryption_minio_knows_of_no_key() -> None:
    """The default is as before."""
    assert "KMS" not in str(ALL)
    assert "serverSideEncryption" not in str(ALL)


@pytest.mark.parametrize(("everything", "switch"), [(True, "on"), (False, "off")])
def test_minio_has_the_key_as_long_as_anything_is_encrypted(*, everything: bool, switch: str) -> None:
    """From the Secret; whether more is encrypted is another matter."""
    encryption = StoreEncryption(EncryptionKey("kecs-1", "a-secret-key"), everything)
    data = manifests.credentials_manifest(SETTINGS, KEYS, encryption)["data"]
    assert base64.b64decode(data["MINIO_KMS_SECRET_KEY"]) == b"kecs-1:a-secret-key"
    minio = manifests.minio_manifest(SETTINGS, replace(PLACE, encryption=encryption))
    variables = {variable["name"]: variable for variable in containers(minio)[0]["env"]}
    assert variables["MINIO_KMS_SECRET_KEY"]["valueFrom"]["secretKeyRef"]["key"] == "MINIO_KMS_SECRET_KEY"
    assert variables["MINIO_KMS_AUTO_ENCRYPTION"]["value"] == switch
    assert "a-secret-key" not in str(minio)
    assert ("serverSideEncryption" in str(manifests.storage_location_manifest(SETTINGS, encryption))) is everything


def test_velero_is_a_single_recreated_pod_that_knows_minio_without_dns() -> None:
    """Two servers on one namespace corrupt each other's work."""
    deployment = manifests.velero_manifest(SETTINGS, minio_cluster_ip="10.43.0.9", woken_by="user")
    pod = deployment["spec"]["template"]["spec"]
    assert deployment["metadata"]["name"] == "velero"
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["metadata"]["annotations"] == {"kecs-state.dev/woken-by": "user"}
    assert pod["hostAliases"] == [{"ip": "10.43.0.9", "hostnames": ["minio.velero.svc"]}]


def test_veleros_server_is_fast_and_neither_collects_nor_schedules() -> None:
    """Raised client limits restore three times faster; the collector would delete what has expired."""
    container = containers(manifests.velero_manifest(SETTINGS, minio_cluster_ip="10.43.0.9"))[-1]
    assert container["args"][0] == "server"
    assert {"--client-qps=1000", "--client-burst=2000", "--disable-controllers=gc,schedule"} <= set(container["args"])
    assert container["resources"]["limits"] == {"memory": "1Gi"}


def test_the_location_suits_minio() -> None:
    """Path style, no checksum algorithm, revalidated every five seconds."""
    spec = manifests.storage_location_manifest(SETTINGS)["spec"]
    assert spec["validationFrequency"] == "5s"
    assert spec["config"] == {
        "region": "minio",
        "s3Url": "http://minio.velero.svc:9000",
        "s3ForcePathStyle": "true",
        "checksumAlgorithm": "",
    }


def test_beside_a_foreign_velero_the_location_brings_its_own_keys() -> None:
    """It must not become the default of somebody else."""
    spec = manifests.adopted_location_manifest(SETTINGS, "kecs-state", "10.43.0.9")["spec"]
    assert spec["default"] is False
    assert spec["credential"] == {"name": "minio-credentials", "key": "cloud"}
    assert spec["config"]["s3Url"] == "http://10.43.0.9:9000"


def test_the_namespace_carries_the_pod_security_labels() -> None:
    """Three modes, each with its version."""
    labels = manifests.namespace_manifest(SETTINGS)["metadata"]["labels"]
    security = {key: value for key, value in labels.items() if key.startswith("pod-security")}
    assert len(security) == 6
    assert set(security.values()) == {"privileged", "latest"}


def test_an_external_location_has_its_own_part_keys_and_certificate() -> None:
    """As Velero reads them; without checksums that S3-compatible stores take for content."""
    spec = external_location_manifest(SETTINGS, "default", THERE)["spec"]
    assert (spec["provider"], spec["default"]) == ("aws", True)
    assert spec["objectStorage"] == {
        "bucket": "backups",
        "prefix": "team/shop",
        "caCert": base64.b64encode(THERE.authority).decode(),
    }
    assert spec["config"] == {
        "region": "eu-west-1",
        "s3Url": "https://store:9000",
        "publicUrl": "https://s3.example.com",
        "s3ForcePathStyle": "false",
        "checksumAlgorithm": "",
    }
    assert spec["credential"] == {"name": "external-store-credentials", "key": "cloud"}


def test_a_second_location_is_not_the_default() -> None:
    """And one without an authority or another address of its own names neither."""
    plain = replace(THERE, authority=b"", public_url="")
    spec = external_location_manifest(SETTINGS, "probe", plain)["spec"]
    assert spec["default"] is False
    assert "caCert" not in spec["objectStorage"]
    assert "publicUrl" not in spec["config"]


def test_a_store_elsewhere_needs_no_name_of_minio() -> None:
    """Its name is looked up."""
    pod = manifests.velero_manifest(SETTINGS, minio_cluster_ip=None)["spec"]["template"]["spec"]
    assert pod["hostAliases"] == []

"""Everything of the stack as server-side applied manifests; pure.

Written by hand instead of ``velero install``: pull policy IfNotPresent whatever the reference looks like, replicas
that start at zero, hostAliases instead of cluster DNS, MinIO under the owner of its directory.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.settings import StackSettings
from app.storage.encryption import StoreEncryption
from app.storage.s3 import S3Credentials
from app.velero.models import BACKUP_STORAGE_LOCATIONS, MANAGED_BY, MANAGED_BY_LABEL
from app.velero.repositories import NEVER

VELERO = "velero"
MINIO = "minio"
MINIO_PORT = 9000
CREDENTIALS_SECRET = "minio-credentials"  # noqa: S105 - the name of a Secret
REPOSITORY_SECRET = "velero-repo-credentials"  # noqa: S105 - the name Velero expects
CREDENTIALS_KEY = "cloud"
ENCRYPTION_KEY = "MINIO_KMS_SECRET_KEY"
LABELS = {"component": "velero", MANAGED_BY_LABEL: MANAGED_BY}
VELERO_POD_LABELS = LABELS | {"deploy": VELERO}
MINIO_POD_LABELS = LABELS | {"app": MINIO}
#: Who woke the stack: a job, or a person whom it must not be taken away from.
WOKEN_BY = "kecs-state.dev/woken-by"
#: A changed specification is what makes Velero validate a location at once; annotations do not.
VALIDATION_FREQUENCY, OTHER_VALIDATION_FREQUENCY = "5s", "5001ms"

SERVER_ARGUMENTS = [
    "server",
    "--uploader-type=kopia",
    "--client-qps=1000",
    "--client-burst=2000",
    "--disable-controllers=gc,schedule",
    # Jobs of ours ask for the maintenance of repositories, see ``app.velero.repositories``.
    f"--default-repo-maintain-frequency={NEVER}",
]

Manifest = dict[str, Any]

#: The user of Velero's image, whose name (cnb) a kubelet cannot tell from root's, and a home that it may write into.
USER, HOME = 1002, "/home/cnb"
#: Of every container: what it writes, it writes into volumes.
CONFINED: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True)
class MinioPlace:
    """Where MinIO's data lies on the node, and the user and group that own it."""

    node_path: str
    uid: int
    gid: int
    encryption: StoreEncryption | None = None
    """The key of a store that holds, or is to hold, encrypted objects."""


def namespace_manifest(settings: StackSettings) -> Manifest:
    """Velero's namespace, with the Pod Security labels its pods need."""
    levels = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}
    versions = {f"{level}-version": "latest" for level in levels}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": settings.namespace, "labels": LABELS | levels | versions},
    }


def service_account_manifest(settings: StackSettings) -> Manifest:
    """The identity of Velero's server."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": stack_metadata(settings, VELERO)}


def credentials_manifest(
    settings: StackSettings, credentials: S3Credentials, encryption: StoreEncryption | None = None
) -> Manifest:
    """MinIO's root keys, as MinIO's environment and as the AWS file Velero reads; and the key it encrypts with."""
    values = {
        CREDENTIALS_KEY: aws_file(credentials),
        "MINIO_ROOT_USER": credentials.access_key,
        "MINIO_ROOT_PASSWORD": credentials.secret_key,
    }
    return secret_manifest(
        settings, CREDENTIALS_SECRET, values | ({ENCRYPTION_KEY: encryption.key.text} if encryption else {})
    )


def aws_file(credentials: S3Credentials) -> str:
    """The credentials in the form Velero's plugin reads."""
    return (
        "[default]\n"
        f"aws_access_key_id={credentials.access_key}\n"
        f"aws_secret_access_key={credentials.secret_key}\n"
    )  # fmt: skip


def repository_password_manifest(settings: StackSettings, password: str) -> Manifest:
    """The password of the volume repositories; without it Velero would use a public one."""
    return secret_manifest(settings, REPOSITORY_SECRET, {"repository-password": password})


def minio_service_manifest(settings: StackSettings) -> Manifest:
    """MinIO inside the cluster; nothing is published."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": stack_metadata(settings, MINIO, {"app": MINIO}),
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": MINIO},
            # Velero's first connection must not fall into the moment in which the node makes the way to MinIO: it
            # would hear nothing for half a minute (docs/sleep.md). So the way is made as soon as the pod has an
            # address, long before Velero is up; until MinIO listens, connections are refused at once.
            "publishNotReadyAddresses": True,
            "ports": [{"name": "s3", "port": MINIO_PORT, "targetPort": MINIO_PORT, "protocol": "TCP"}],
        },
    }


def network_policy_manifest(settings: StackSettings) -> Manifest:
    """Only pods of Velero's namespace reach MinIO; a port-forward comes from the node itself and is never filtered."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": stack_metadata(settings, MINIO, {"app": MINIO}),
        "spec": {
            "podSelector": {"matchLabels": {"app": MINIO}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": MINIO_PORT, "protocol": "TCP"}]}],
        },
    }


def minio_manifest(settings: StackSettings, place: MinioPlace, *, replicas: int = 1) -> Manifest:
    """MinIO on a directory of the node that is a directory of the host."""
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsUser": place.uid,
            "runAsGroup": place.gid,
            # A directory that belongs to root can only be written by root.
            "runAsNonRoot": place.uid != 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_minio_container(settings, place.encryption)],
        "volumes": [
            {"name": "data", "hostPath": {"path": place.node_path, "type": "DirectoryOrCreate"}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": stack_metadata(settings, MINIO, {"app": MINIO}),
        "spec": {
            "serviceName": MINIO,
            "replicas": replicas,
            "selector": {"matchLabels": {"app": MINIO}},
            "template": {"metadata": {"labels": MINIO_POD_LABELS}, "spec": pod},
        },
    }


def _minio_container(settings: StackSettings, encryption: StoreEncryption | None) -> Manifest:
    """No ``command``, so that forks whose binary has another name work too."""
    return {
        "name": MINIO,
        "image": settings.images.minio,
        "imagePullPolicy": "IfNotPresent",
        "args": ["server", "/data", "--address", f":{MINIO_PORT}", "--certs-dir", "/tmp/certs"],  # noqa: S108 - its own
        "env": [
            _from_secret("MINIO_ROOT_USER"),
            _from_secret("MINIO_ROOT_PASSWORD"),
            {"name": "MINIO_BROWSER", "value": "off"},
            {"name": "MINIO_UPDATE", "value": "off"},
            *(_encryption_variables(encryption) if encryption else ()),
        ],
        "ports": [{"name": "s3", "containerPort": MINIO_PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/minio/health/ready", "port": MINIO_PORT},
            "periodSeconds": 1,
            "failureThreshold": 3,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}},
        "securityContext": CONFINED,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108
    }


def _encryption_variables(encryption: StoreEncryption) -> list[Manifest]:
    """The key alone lets MinIO read what is encrypted; the other has it encrypt whatever anybody puts, kopia's too."""
    everything = "on" if encryption.everything else "off"
    return [_from_secret(ENCRYPTION_KEY), {"name": "MINIO_KMS_AUTO_ENCRYPTION", "value": everything}]


def velero_manifest(
    settings: StackSettings, *, minio_cluster_ip: str | None, woken_by: str = "job", replicas: int = 1
) -> Manifest:
    """Velero's server. Its name must be ``velero``: every Restore reads that Deployment.

    Without ``minio_cluster_ip`` its store lies elsewhere, under a name that is looked up.
    """
    metadata = stack_metadata(settings, VELERO, {"deploy": VELERO}) | {"annotations": {WOKEN_BY: woken_by}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"deploy": VELERO}},
            "template": {
                "metadata": {"labels": VELERO_POD_LABELS},
                "spec": _velero_pod(settings, minio_cluster_ip),
            },
        },
    }


def _velero_pod(settings: StackSettings, minio_cluster_ip: str | None) -> Manifest:
    # MinIO's name without cluster DNS, which may come up later than everything else.
    aliases = [{"ip": minio_cluster_ip, "hostnames": [minio_host(settings)]}] if minio_cluster_ip else []
    return {
        "serviceAccountName": VELERO,
        # It may take all of its grace to end though it has nothing to do, and the next wake waits for that.
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "hostAliases": aliases,
        "initContainers": [
            {
                "name": "velero-plugin-for-aws",
                "image": settings.images.velero_plugin,
                "imagePullPolicy": "IfNotPresent",
                "securityContext": CONFINED,
                "volumeMounts": [{"name": "plugins", "mountPath": "/target"}],
            }
        ],
        "containers": [_velero_container(settings)],
        "volumes": [
            {"name": "home", "emptyDir": {}},
            {"name": "temporary", "emptyDir": {}},
            {"name": "plugins", "emptyDir": {}},
            {"name": "scratch", "emptyDir": {}},
            credentials_volume(),
        ],
    }


def credentials_volume() -> Manifest:
    """The AWS file, for whoever of Velero's programs reads or writes the bucket."""
    items = [{"key": CREDENTIALS_KEY, "path": CREDENTIALS_KEY}]
    secret = {"secretName": CREDENTIALS_SECRET, "defaultMode": 0o444, "items": items}
    return {"name": "cloud-credentials", "secret": secret}


def velero_environment() -> list[Manifest]:
    """What Velero's programs need to know; the AWS variables keep the SDK from adding checksums that S3-compatible
    stores take for content."""
    return [
        {"name": "VELERO_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "VELERO_SCRATCH_DIR", "value": "/scratch"},
        {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": f"/credentials/{CREDENTIALS_KEY}"},
        {"name": "AWS_REQUEST_CHECKSUM_CALCULATION", "value": "when_required"},
        {"name": "AWS_RESPONSE_CHECKSUM_VALIDATION", "value": "when_required"},
    ]


def _velero_container(settings: StackSettings) -> Manifest:
    return {
        "name": VELERO,
        "image": settings.images.velero,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/velero"],
        "args": SERVER_ARGUMENTS,
        "env": [
            *velero_environment(),
            {"name": "HOME", "value": HOME},
            {"name": "LD_LIBRARY_PATH", "value": "/plugins"},
        ],
        "ports": [{"name": "metrics", "containerPort": 8085}],
        "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": CONFINED,
        "volumeMounts": [
            {"name": "home", "mountPath": HOME},
            {"name": "temporary", "mountPath": "/tmp"},  # noqa: S108 - its own
            {"name": "plugins", "mountPath": "/plugins"},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "cloud-credentials", "mountPath": "/credentials"},
        ],
    }


def storage_location_manifest(settings: StackSettings, encryption: StoreEncryption | None = None) -> Manifest:
    """Where Velero keeps backups, in our own stack."""
    return location_manifest(settings, "default", f"http://{minio_host(settings)}:{MINIO_PORT}", encryption)


def adopted_location_manifest(
    settings: StackSettings, name: str, minio_cluster_ip: str, encryption: StoreEncryption | None = None
) -> Manifest:
    """The same beside a Velero of somebody else: not the default, with credentials of its own."""
    manifest = location_manifest(settings, name, f"http://{minio_cluster_ip}:{MINIO_PORT}", encryption)
    manifest["spec"] |= {"default": False, "credential": {"name": CREDENTIALS_SECRET, "key": CREDENTIALS_KEY}}
    return manifest


def location_manifest(
    settings: StackSettings, name: str, url: str, encryption: StoreEncryption | None = None
) -> Manifest:
    """A location like that of our own MinIO.

    A store that cannot encrypt refuses what asks for it, so nothing is ever put in clear by mistake.
    """
    asked = {"serverSideEncryption": "AES256"} if encryption and encryption.everything else {}
    return {
        "apiVersion": BACKUP_STORAGE_LOCATIONS.api_version,
        "kind": BACKUP_STORAGE_LOCATIONS.kind,
        "metadata": stack_metadata(settings, name),
        "spec": {
            "provider": "aws",
            "default": True,
            "accessMode": "ReadWrite",
            "validationFrequency": VALIDATION_FREQUENCY,
            "objectStorage": {"bucket": settings.bucket},
            "config": {"region": "minio", "s3Url": url, "s3ForcePathStyle": "true", "checksumAlgorithm": ""} | asked,
        },
    }


def definitions_pod_manifest(settings: StackSettings, name: str) -> Manifest:
    """A pod that prints Velero's own CRDs and ends."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": stack_metadata(settings, name),
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": VELERO,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": VELERO,
                    "image": settings.images.velero,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/velero"],
                    "args": ["install", "--crds-only", "--dry-run", "-o", "json"],
                    "securityContext": CONFINED,
                }
            ],
        },
    }


def minio_host(settings: StackSettings) -> str:
    """The name by which Velero knows MinIO."""
    return f"{MINIO}.{settings.namespace}.svc"


def stack_metadata(settings: StackSettings, name: str, labels: Mapping[str, str] | None = None) -> Manifest:
    """Metadata of an object of the stack."""
    return {"name": name, "namespace": settings.namespace, "labels": LABELS | dict(labels or {})}


def secret_manifest(settings: StackSettings, name: str, values: Mapping[str, str]) -> Manifest:
    """A Secret of the stack."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": stack_metadata(settings, name),
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }


def _from_secret(key: str) -> Manifest:
    return {"name": key, "valueFrom": {"secretKeyRef": {"name": CREDENTIALS_SECRET, "key": key}}}

"""The programs of a node: their command lines and configuration files.

Flags and traps were found by running: a memory-less SIGKILL must lose nothing (etcd needs no fsync for that),
containers may not lower their OOM score here, images imported by hand may never be collected.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.real.binaries import binary
from tests.real.images import PAUSE
from tests.real.slot import DNS_ADDRESS, NODE, POD_NETWORK, SERVICE_NETWORK, Slot

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
SERVICE_ADDRESS = "10.96.0.1"
_ETCD = "http://127.0.0.1:2379"
_CONTAINERD = """version = 2
root = "{root}"
state = "/run/containerd/state"
oom_score = 0
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{conf}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


@dataclass(frozen=True)
class Component:
    """One program; its output goes to a log named after it."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))


def write_configuration(slot: Slot) -> None:
    """Every file that the components read, but certificates."""
    conf = slot.directory / "conf"
    (conf / "cni").mkdir(parents=True, exist_ok=True)
    root = slot.directory / "containerd"
    (conf / "containerd.toml").write_text(
        _CONTAINERD.format(root=root, socket=CONTAINERD_SOCKET, pause=PAUSE, conf=conf)
    )
    _write(conf / "cni" / "10-pods.conflist", _pod_network())
    _write(conf / "kubelet.json", _kubelet(slot))
    _write(conf / "proxy.json", _proxy(slot))
    (conf / "resolv.conf").write_text("nameserver 127.0.0.1\n")


def containerd(slot: Slot) -> Component:
    """The container runtime."""
    command = ["containerd", "-c", str(slot.directory / "conf" / "containerd.toml"), "--log-level", "warn"]
    return Component("containerd", command)


def etcd(slot: Slot) -> Component:
    """The API server's store."""
    peer = "http://127.0.0.1:2380"
    return _component(
        "etcd",
        name="etcd",
        data_dir=slot.directory / "etcd",
        listen_client_urls=_ETCD,
        advertise_client_urls=_ETCD,
        listen_peer_urls=peer,
        initial_advertise_peer_urls=peer,
        initial_cluster=f"etcd={peer}",
        unsafe_no_fsync="true",
        heartbeat_interval="100",
        election_timeout="500",
        log_level="warn",
    )


def api_server(slot: Slot) -> Component:
    """The API server, on every address of the node."""
    pki = slot.directory / "pki"
    return _component(
        "kube-apiserver",
        etcd_servers=_ETCD,
        secure_port=slot.record().api_port,
        bind_address="0.0.0.0",  # noqa: S104 - of a network namespace of its own
        advertise_address=slot.node_address,
        tls_cert_file=pki / "apiserver.crt",
        tls_private_key_file=pki / "apiserver.key",
        client_ca_file=pki / "ca.crt",
        service_account_key_file=pki / "sa.pub",
        service_account_signing_key_file=pki / "sa.key",
        service_account_issuer="https://kubernetes.default.svc",
        kubelet_client_certificate=pki / "kubelet-client.crt",
        kubelet_client_key=pki / "kubelet-client.key",
        kubelet_preferred_address_types="InternalIP",
        service_cluster_ip_range=SERVICE_NETWORK,
        authorization_mode="Node,RBAC",
        allow_privileged="true",
        profiling="false",
    )


def controllers(slot: Slot) -> Component:
    """The controller manager."""
    pki = slot.directory / "pki"
    return _component(
        "kube-controller-manager",
        **_kubeconfigs(pki / "controller-manager.kubeconfig"),
        leader_elect="false",
        bind_address="127.0.0.1",
        service_account_private_key_file=pki / "sa.key",
        root_ca_file=pki / "ca.crt",
        cluster_signing_cert_file=pki / "ca.crt",
        cluster_signing_key_file=pki / "ca.key",
        use_service_account_credentials="true",
        allocate_node_cidrs="true",
        cluster_cidr=POD_NETWORK,
        kube_api_qps="500",
        kube_api_burst="1000",
    )


def scheduler(slot: Slot) -> Component:
    """The scheduler."""
    kubeconfigs = _kubeconfigs(slot.directory / "pki" / "scheduler.kubeconfig")
    return _component("kube-scheduler", **kubeconfigs, leader_elect="false", bind_address="127.0.0.1")


def kubelet(slot: Slot) -> Component:
    """The node's agent; its state lies where every node has it, which is private to this one."""
    return _component(
        "kubelet",
        config=slot.directory / "conf" / "kubelet.json",
        kubeconfig=slot.directory / "pki" / "kubelet.kubeconfig",
        hostname_override=NODE,
        node_ip=slot.node_address,
        cert_dir=slot.directory / "conf",
    )


def proxy(slot: Slot) -> Component:
    """What makes Service addresses work."""
    return _component("kube-proxy", config=slot.directory / "conf" / "proxy.json")


def _component(program: str, **flags: Any) -> Component:
    arguments = [f"--{key.replace('_', '-')}={value}" for key, value in flags.items()]
    return Component(program, [str(binary(program)), *arguments])


def _kubeconfigs(path: Path) -> dict[str, Any]:
    return {"kubeconfig": path, "authentication_kubeconfig": path, "authorization_kubeconfig": path}


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1))


def _pod_network() -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": "10.244.0.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge | {"ipam": addresses}, ports]}


def _kubelet(slot: Slot) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(slot.directory / "pki" / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{slot.cgroup}",
        "cgroupsPerQOS": True,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "maxPods": 110,
        "nodeStatusUpdateFrequency": "5s",
        "oomScoreAdj": 0,
        "resolvConf": str(slot.directory / "conf" / "resolv.conf"),
    }


def _proxy(slot: Slot) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(slot.directory / "pki" / "proxy.kubeconfig")},
        "clusterCIDR": POD_NETWORK,
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "hostnameOverride": NODE,
        "iptables": {"minSyncPeriod": "100ms"},
        "mode": "iptables",
    }

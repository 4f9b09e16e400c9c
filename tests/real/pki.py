"""Certificates and kubeconfigs of one cluster; made anew with every identity the cluster gets."""

import base64
import ipaddress
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Who speaks to the API server: file name, user, group.
CLIENTS = {
    "admin": ("kubernetes-admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "kubelet": ("system:node:node", "system:nodes"),
    "kubelet-client": ("kube-apiserver-kubelet-client", "system:masters"),
}
_SERVER_NAMES = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]


def make_pki(directory: Path, address: str, service_address: str) -> None:
    """Authority, server certificate, clients and service account keys as PEM files."""
    directory.mkdir(parents=True)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("kecs-state real cluster", "", authority_key, None, authority_key)
    _write(directory, "ca", authority, authority_key)
    server_key = ec.generate_private_key(ec.SECP256R1())
    addresses = ["127.0.0.1", address, service_address]
    server = _certificate("kube-apiserver", "", server_key, authority, authority_key, addresses)
    _write(directory, "apiserver", server, server_key)
    for name, (user, group) in CLIENTS.items():
        key = ec.generate_private_key(ec.SECP256R1())
        _write(directory, name, _certificate(user, group, key, authority, authority_key), key)
    accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_key(directory / "sa.key", accounts)
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (directory / "sa.pub").write_bytes(public)


def _kubeconfig(directory: Path, name: str, server: str) -> dict[str, Any]:
    """A kubeconfig document of one client, with everything inline."""

    def inline(file: str) -> str:
        return base64.b64encode((directory / file).read_bytes()).decode()

    user = {"client-certificate-data": inline(f"{name}.crt"), "client-key-data": inline(f"{name}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "real", "cluster": {"server": server, "certificate-authority-data": inline("ca.crt")}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": name}}],
        "current-context": "real",
    }


def write_kubeconfigs(directory: Path, server: str) -> None:
    """One file per client beside its certificate; JSON is YAML."""
    for name in CLIENTS:
        (directory / f"{name}.kubeconfig").write_text(json.dumps(_kubeconfig(directory, name, server)))


def _certificate(
    user: str,
    group: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    addresses: list[str] | None = None,
) -> x509.Certificate:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    subject, now = x509.Name(attributes), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    if addresses:
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in _SERVER_NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _write(directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    (directory / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(directory / f"{name}.key", key)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

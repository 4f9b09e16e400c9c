"""An admission webhook of the test's own, reached by URL from wherever the API server runs."""

import base64
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.kubernetes.kubeconfig import load
from app.kubernetes.resources import CONFIG_MAPS, MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from tests.contract.world import INSTANCE, World

Object = dict[str, Any]
NAME = "guard.example.com"


class Webhook:
    """Remembers what it was asked; ``response`` is its answer to everything."""

    def __init__(self, url: str, ca: bytes) -> None:
        self.client_config = {"url": url, "caBundle": base64.b64encode(ca).decode()}
        self.requests: list[Object] = []
        self.response: Object = {"allowed": True}

    async def answer(self, request: web.Request) -> web.Response:
        """One AdmissionReview."""
        review = await request.json()
        self.requests.append(review["request"])
        return web.json_response(review | {"response": self.response | {"uid": review["request"]["uid"]}})

    def patch(self, *operations: Object) -> None:
        """Allow, and change the object so."""
        encoded = base64.b64encode(json.dumps(operations).encode()).decode()
        self.response = {"allowed": True, "patchType": "JSONPatch", "patch": encoded}


@asynccontextmanager
async def webhook(world: World, directory: Path) -> AsyncIterator[Webhook]:
    """Serves on the address of this machine that the API server can reach."""
    server = urlsplit(load(await world.cluster.clusters.access(INSTANCE)).server)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((server.hostname, server.port))
        address = probe.getsockname()[0]
    ca = certificate(directory, address)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "webhook.pem")
    hook = Webhook("", ca)
    runner = web.ServerRunner(web.Server(hook.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, address, 0, ssl_context=context).start()
    hook.client_config["url"] = f"https://{address}:{runner.addresses[0][1]}/review"
    try:
        yield hook
    finally:
        await runner.cleanup()


def certificate(directory: Path, address: str) -> bytes:
    """One that is its own authority, with its key in ``webhook.pem``; returns it in PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "webhook")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (directory / "webhook.pem").write_bytes(private + made)
    return made


@asynccontextmanager
async def configured(
    world: World, namespace: str, client_config: Object, *, mutating: bool = False, **more: Any
) -> AsyncIterator[Object]:
    """A configuration that asks the webhook about ConfigMaps of one namespace; it goes at the end."""
    # What every namespace gets by itself shall not be among what the webhook is asked.
    await world.kube.wait_for(CONFIG_MAPS, "kube-root-ca.crt", namespace, bool, timeout_seconds=15)
    resource = MUTATING_WEBHOOKS if mutating else VALIDATING_WEBHOOKS
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "DELETE"], "resources": ["configmaps"]}
    hook = {
        "name": NAME,
        "clientConfig": client_config,
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    } | more
    made = await world.kube.create(resource, {"metadata": {"name": namespace}, "webhooks": [hook]})
    try:
        yield made
    finally:
        await world.kube.delete(resource, namespace)

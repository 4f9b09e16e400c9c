"""Which kubeconfigs are taken, and that nothing secret of them is ever printed."""

import base64
from copy import deepcopy
from typing import Any

import pytest

from app.kubernetes.client import KubeClient
from app.kubernetes.errors import UntrustedKubeconfig
from app.kubernetes.kubeconfig import load
from app.ports import ClusterAccess
from tests.kubernetes.scripted import kubeconfig
from tests.sandbox.api_server import RunningApi

GOOD = kubeconfig("https://127.0.0.1:6443/", b"-----BEGIN")


def changed(**changes: dict[str, Any]) -> ClusterAccess:
    """A good document with keys of its ``cluster`` or ``user`` changed; None takes a key away."""
    document = deepcopy(GOOD)
    for section, values in changes.items():
        holder = document[f"{section}s"][0][section]
        for key, value in values.items():
            holder[key.replace("_", "-")] = value
            if value is None:
                del holder[key.replace("_", "-")]
    return ClusterAccess(document)


def test_the_current_context_is_read() -> None:
    """Other entries are not looked at."""
    document = deepcopy(GOOD)
    for section in ("contexts", "clusters", "users"):
        document[section].insert(0, {"name": "other", section[:-1]: {"exec": {}, "server": "http://elsewhere"}})
    found = load(ClusterAccess(document))
    assert (found.server, found.token, found.ca) == ("https://127.0.0.1:6443", "s3cret-token", "-----BEGIN")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("user", "exec", {"command": "/bin/sh"}),
        ("user", "auth-provider", {"name": "oidc"}),
        ("user", "tokenFile", "/etc/shadow"),
        ("user", "client-certificate", "/etc/cert"),
        ("user", "client-key", "/etc/key"),
        ("cluster", "certificate-authority", "/etc/ca"),
    ],
)
def test_what_would_run_or_read_something_here_is_refused(section: str, key: str, value: Any) -> None:
    """By name for the user's keys; inline data of the same things is fine."""
    with pytest.raises(UntrustedKubeconfig, match="authority" if section == "cluster" else key):
        load(changed(**{section: {key: value}}))


@pytest.mark.parametrize(
    "access",
    [
        changed(cluster={"server": "http://127.0.0.1:6443"}),
        changed(cluster={"server": None}),
        changed(cluster={"server": 5}),
        changed(cluster={"certificate_authority_data": None}),
        changed(cluster={"certificate_authority_data": ""}),
        changed(cluster={"certificate_authority_data": "%%%"}),
        changed(user={"client_key_data": 7}),
        changed(user={"token": ["t"]}),
        ClusterAccess({}),
        ClusterAccess(GOOD | {"current-context": "another"}),
        ClusterAccess(GOOD | {"users": [{"name": "one", "user": None}]}),
        ClusterAccess(GOOD | {"clusters": None}),
    ],
)
def test_an_incomplete_document_is_refused(access: ClusterAccess) -> None:
    """Without an authority of its own, every certificate this machine trusts would do."""
    with pytest.raises(UntrustedKubeconfig):
        load(access)


@pytest.mark.parametrize("data", [b"no certificate", "-----BEGIN né".encode(), b"\xff\xfe"])
async def test_an_authority_that_is_not_pem_is_refused(data: bytes) -> None:
    """As ours, and before anything is sent."""
    encoded = base64.b64encode(data).decode()
    with pytest.raises(UntrustedKubeconfig, match="not PEM"):
        await KubeClient.connect(changed(cluster={"certificate_authority_data": encoded}))


async def test_a_client_certificate_that_is_not_pem_is_refused(api: RunningApi) -> None:
    """And its content is not in the message."""
    keys = {"client-certificate-data": "c2VjcmV0", "client-key-data": "c2VjcmV0"}
    with pytest.raises(UntrustedKubeconfig) as caught:
        await KubeClient.connect(ClusterAccess(kubeconfig(api.url, api.ca_file.read_bytes(), **keys)))
    assert "secret" not in str(caught.value)


async def test_a_token_with_a_line_end_still_works(api: RunningApi) -> None:
    """Tokens are read from files, and files end in one."""
    access = ClusterAccess(kubeconfig(api.url, api.ca_file.read_bytes(), token=f"{api.token}\n"))
    async with await KubeClient.connect(access) as kube:
        assert await kube.cluster_uid()


async def test_secrets_are_not_printed(api: RunningApi) -> None:
    """Neither by the access, nor by the endpoint, nor by what is made of them."""
    access = ClusterAccess(api.kubeconfig)
    async with await KubeClient.connect(access) as kube:
        shown = f"{access!r} {load(access)!r} {kube!r} {vars(kube)!r}"
    keys = load(changed(user={"client_key_data": base64.b64encode(b"p3m").decode()}))
    assert api.token not in shown
    assert "p3m" not in repr(keys)
    assert "s3cret" not in repr(keys)

"""An admission webhook in the cluster that does not let our objects in: who it is, and what its owner can do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import WebhookRejectsBackups
from app.kubernetes.errors import KubernetesError

#: How the API server names it, whether it said no or did not answer (k8s.io/apiserver, pkg/admission/plugin/webhook).
_NAMED = re.compile(r'webhook "([^"]+)"')


def rejection(error: KubernetesError) -> WebhookRejectsBackups | None:
    """The refusal of a webhook as such; None if the API server itself refused."""
    named = _NAMED.search(error.detail)
    return rejected(named[1], error.detail) if named is not None else None


def rejected(webhook: str, detail: str) -> WebhookRejectsBackups:
    """What a stop fails with."""
    return WebhookRejectsBackups(
        f"Velero or its Backups are rejected: {detail}",
        remedy=f"Bring the backend of {webhook!r} up, leave the stack's namespace, ClusterRoleBindings, "
        "CustomResourceDefinitions and group velero.io out of its rules, or delete its configuration.",
        webhook=webhook,
    )


@contextmanager
def naming_webhooks() -> Iterator[None]:
    """Whatever a webhook rejects in this block is said to be its doing."""
    try:
        yield
    except KubernetesError as error:
        if (named := rejection(error)) is not None:
            raise named from error
        raise

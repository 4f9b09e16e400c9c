"""What makes a webhook configuration invalid."""

from urllib.parse import urlsplit

from app.sandbox.kubeapi.failures import Flaw
from app.sandbox.kubeapi.objects import Object, entries, mapping

_POLICIES = ("Fail", "Ignore")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_VERSIONS = frozenset({"v1", "v1beta1"})


def configuration_flaws(obj: Object) -> list[Flaw]:
    """Of every webhook of a configuration, its own flaws under its own path."""
    return [
        flaw
        for number, webhook in enumerate(entries(obj, "webhooks"))
        for flaw in _flaws(webhook, f"webhooks[{number}]")
    ]


def _flaws(webhook: Object, path: str) -> list[Flaw]:
    flaws = _client_flaws(mapping(webhook, "clientConfig"), f"{path}.clientConfig")
    name = str(webhook.get("name", ""))
    if name.count(".") < 2:
        why = "should be a domain with at least three segments separated by dots"
        flaws.append(Flaw.invalid(f"{path}.name", name, why))
    for field, allowed in (("failurePolicy", _POLICIES), ("sideEffects", _SIDE_EFFECTS)):
        if webhook.get(field) not in allowed:
            flaws.append(Flaw.unsupported(f"{path}.{field}", webhook.get(field), allowed))
    versions = entries(webhook, "admissionReviewVersions")
    if _VERSIONS.isdisjoint(one for one in versions if isinstance(one, str)):
        why = "must specify one of v1, v1beta1"
        flaws.append(Flaw.required(f"{path}.admissionReviewVersions", why))
    if not 1 <= webhook.get("timeoutSeconds", 10) <= 30:
        why = "the timeout value must be between 1 and 30 seconds"
        flaws.append(Flaw.invalid(f"{path}.timeoutSeconds", webhook["timeoutSeconds"], why))
    return flaws


def _client_flaws(config: Object, path: str) -> list[Flaw]:
    url, service = config.get("url"), mapping(config, "service")
    if bool(url) == bool(service):
        return [Flaw.required(path, "exactly one of url or service is required")]
    if url and urlsplit(str(url)).scheme != "https":
        return [Flaw.invalid(f"{path}.url", url, "'https' is the only allowed URL scheme")]
    return [
        Flaw.required(f"{path}.service.{field}")
        for field in ("name", "namespace")
        if service and not service.get(field)
    ]

"""What makes an object invalid. A handful of rules: those that restores and clients of the sandbox run into."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from app.sandbox.kubeapi.configurations import configuration_flaws
from app.sandbox.kubeapi.failures import Flaw, bad_request, invalid
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.metadata import check_metadata_shape, is_label, is_qualified, metadata_flaws
from app.sandbox.kubeapi.objects import Object, at, entries
from app.sandbox.kubeapi.schemas import schema_flaws

_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_MOST_DATA_BYTES = 1024 * 1024


def check(kind: Kind, obj: Object) -> None:
    """Raises the 422 that names every flaw; 400 when the object's shape is not one."""
    metadata = obj["metadata"]
    check_metadata_shape(metadata)
    flaws = [*metadata_flaws(kind, metadata), *_RULES.get(kind.storage, _no_rules)(obj)]
    if kind.schema is not None:
        flaws += schema_flaws(kind.schema, obj)
    if flaws:
        raise invalid(kind.kind, kind.group, str(metadata.get("name", "")), flaws)


def _no_rules(_: Object) -> list[Flaw]:
    return []


def _pod(obj: Object) -> list[Flaw]:
    return _pod_spec(obj.get("spec"), "spec")


def _pod_spec(spec: Any, path: str) -> list[Flaw]:
    if not isinstance(spec, dict) or not entries(spec, "containers"):
        return [Flaw.required(f"{path}.containers")]
    flaws: list[Flaw] = []
    seen: set[str] = set()
    for number, container in enumerate(entries(spec, "containers")):
        place = f"{path}.containers[{number}]"
        if not isinstance(container, dict):
            raise bad_request(f"{place}: expected an object")
        if not container.get("name"):
            flaws.append(Flaw.required(f"{place}.name"))
        elif found := _label(f"{place}.name", container["name"]):
            flaws += found
        elif container["name"] in seen:
            flaws.append(Flaw((f"{place}.name", "FieldValueDuplicate", f'Duplicate value: "{container["name"]}"')))
        if not container.get("image"):
            flaws.append(Flaw.required(f"{place}.image"))
        elif not isinstance(container["image"], str):
            raise bad_request(f"{place}.image: expected a string")
        seen.add(str(container.get("name")))
    return flaws


def _label(path: str, value: Any) -> list[Flaw]:
    return [] if is_label(value) else [Flaw.invalid(path, value, "a lowercase RFC 1123 label is required")]


def _workload(obj: Object) -> list[Flaw]:
    flaws = []
    wanted = at(obj, "spec.replicas")
    if isinstance(wanted, int) and wanted < 0:
        flaws.append(Flaw.invalid("spec.replicas", wanted, "must be greater than or equal to 0"))
    selector = at(obj, "spec.selector.matchLabels") or {}
    if not at(obj, "spec.selector"):
        flaws.append(Flaw.required("spec.selector"))
    template = at(obj, "spec.template")
    if not isinstance(template, dict):
        return [*flaws, Flaw.required("spec.template")]
    labels = at(template, "metadata.labels") or {}
    if isinstance(selector, dict) and isinstance(labels, dict) and not selector.items() <= labels.items():
        flaws.append(
            Flaw.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
        )
    return flaws + _pod_spec(template.get("spec"), "spec.template.spec")


def _job(obj: Object, path: str = "spec.template.spec") -> list[Flaw]:
    flaws = _pod_spec(at(obj, path), path)
    if not flaws and at(obj, f"{path}.restartPolicy") not in {"OnFailure", "Never"}:
        flaws.append(Flaw.required(f"{path}.restartPolicy", 'valid values: "OnFailure", "Never"'))
    return flaws


def _cron_job(obj: Object) -> list[Flaw]:
    flaws = _job(obj, "spec.jobTemplate.spec.template.spec")
    schedule = at(obj, "spec.schedule")
    if not isinstance(schedule, str) or not (schedule.startswith("@") or len(schedule.split()) == 5):
        flaws.append(Flaw.invalid("spec.schedule", schedule, "expected exactly 5 fields"))
    return flaws


def _claim(obj: Object) -> list[Flaw]:
    flaws = []
    if not at(obj, "spec.accessModes"):
        flaws.append(Flaw.required("spec.accessModes", "at least 1 access mode is required"))
    if not at(obj, "spec.resources.requests.storage"):
        flaws.append(Flaw.required("spec.resources[storage]"))
    return flaws


def _config_map(obj: Object) -> list[Flaw]:
    data, binary = (_strings(obj, field) for field in ("data", "binaryData"))
    twice = [
        Flaw.invalid(f"data[{key}]", key, "duplicate of key present in binaryData") for key in data if key in binary
    ]
    return twice + _keys(data) + _keys(binary) + _too_big([*data.values(), *binary.values()])


def _secret(obj: Object) -> list[Flaw]:
    data = _strings(obj, "data")
    for key, value in data.items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise bad_request(f"Secret in version v1 cannot be handled: data[{key}]: illegal base64") from error
    return _keys(data) + _too_big([value[: len(value) * 3 // 4] for value in data.values()])


def _strings(obj: Object, field: str) -> dict[str, str]:
    """The map of strings under ``field``; raises the decoder's BadRequest for anything else."""
    found = obj.get(field)
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise bad_request(f"{obj.get('kind')} cannot be handled: {field}: expected a map of strings")
    return found


def _keys(data: dict[str, str]) -> list[Flaw]:
    why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    return [Flaw.invalid(f"data[{key}]", key, why) for key in data if not _CONFIG_KEY.fullmatch(key)]


def _too_big(values: list[str]) -> list[Flaw]:
    over = sum(len(value.encode()) for value in values) > _MOST_DATA_BYTES
    return [Flaw.too_long("data", _MOST_DATA_BYTES)] if over else []


def _service(obj: Object) -> list[Flaw]:
    spec = obj.get("spec") or {}
    headless = spec.get("clusterIP") == "None"
    ports = entries(spec, "ports")
    if not ports and not headless and spec.get("type") != "ExternalName":
        return [Flaw.required("spec.ports")]
    flaws = []
    for number, port in enumerate(ports):
        if len(ports) > 1 and isinstance(port, dict) and not port.get("name"):
            flaws.append(Flaw.required(f"spec.ports[{number}].name"))
        value = port.get("port") if isinstance(port, dict) else None
        if not isinstance(value, int) or not 0 < value < 65536:
            flaws.append(Flaw.invalid(f"spec.ports[{number}].port", value, "must be between 1 and 65535, inclusive"))
    return flaws


def _namespace(obj: Object) -> list[Flaw]:
    return [
        Flaw.invalid("spec.finalizers", one, "name part must consist of alphanumeric characters")
        for one in entries(obj.get("spec") or {}, "finalizers")
        if not is_qualified(one)
    ]


def _definition(obj: Object) -> list[Flaw]:
    spec, name = obj.get("spec"), obj["metadata"].get("name")
    if not isinstance(spec, dict):
        return [Flaw.required("spec")]
    flaws = [
        Flaw.required(f"spec.{path}")
        for path in ("group", "scope", "names.plural", "names.kind", "versions")
        if not at(spec, path)
    ]
    if flaws:
        return flaws
    if not isinstance(spec["group"], str) or not isinstance(spec["names"]["kind"], str):
        raise bad_request("spec: group and names.kind must be strings")
    if name != f"{spec['names']['plural']}.{spec['group']}":
        flaws.append(Flaw.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    versions = entries(spec, "versions")
    if not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in versions):
        flaws.append(Flaw.invalid("spec.versions", "", "every version needs a name"))
    elif sum(1 for one in versions if one.get("storage")) != 1:
        flaws.append(Flaw.invalid("spec.versions", "", "must have exactly one version marked as storage version"))
    else:
        flaws += [
            Flaw.required(f"spec.versions[{number}].schema.openAPIV3Schema", "schemas are required")
            for number, one in enumerate(versions)
            if not isinstance(at(one, "schema.openAPIV3Schema"), dict)
        ]
    return flaws


_RULES: dict[str, Callable[[Object], list[Flaw]]] = {
    "pods": _pod,
    "deployments.apps": _workload,
    "statefulsets.apps": _workload,
    "daemonsets.apps": _workload,
    "replicasets.apps": _workload,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "persistentvolumeclaims": _claim,
    "configmaps": _config_map,
    "secrets": _secret,
    "services": _service,
    "namespaces": _namespace,
    "customresourcedefinitions.apiextensions.k8s.io": _definition,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": configuration_flaws,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": configuration_flaws,
}

_IMMUTABLE = {
    "deployments.apps": ("spec.selector",),
    "replicasets.apps": ("spec.selector",),
    "daemonsets.apps": ("spec.selector",),
    "jobs.batch": ("spec.selector", "spec.template", "spec.completions"),
    "secrets": ("type",),
    "rolebindings.rbac.authorization.k8s.io": ("roleRef",),
    "clusterrolebindings.rbac.authorization.k8s.io": ("roleRef",),
    "storageclasses.storage.k8s.io": ("provisioner", "parameters", "reclaimPolicy"),
    "persistentvolumeclaims": ("spec.accessModes", "spec.storageClassName"),
    "customresourcedefinitions.apiextensions.k8s.io": ("spec.group", "spec.scope", "spec.names.plural"),
}


def check_change(kind: Kind, before: Object, after: Object) -> None:
    """Raises the 422 for a change of a field that cannot be changed."""
    flaws = [
        Flaw.invalid(path, at(after, path), "field is immutable")
        for path in _IMMUTABLE.get(kind.storage, ())
        if at(before, path) is not None and at(before, path) != at(after, path)
    ]
    if before.get("immutable") is True and kind.storage in {"secrets", "configmaps"}:
        changed = any(before.get(field) != after.get(field) for field in ("data", "binaryData", "immutable"))
        flaws += [
            Flaw(("data", "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set"))
        ] * changed
    flaws += _spec_change(kind.storage, before, after)
    if flaws:
        raise invalid(kind.kind, kind.group, str(after["metadata"].get("name", "")), flaws)


# Of these kinds nothing in the specification may change but what stands here.
_MUTABLE = {
    "pods": ("activeDeadlineSeconds", "containers", "initContainers", "terminationGracePeriodSeconds", "tolerations"),
    "statefulsets.apps": (
        "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
    ),
}  # fmt: skip


def _spec_change(storage: str, before: Object, after: Object) -> list[Flaw]:
    """Of a pod's containers only the images may change, and its node only once, when it is bound to one."""
    mutable = _MUTABLE.get(storage)
    if mutable is None:
        return []
    old, new = (_fixed(obj, mutable) for obj in (before, after))
    if not old.get("nodeName"):
        new.pop("nodeName", None)
    if old == new:
        return []
    shown = ", ".join(f"'{one}'" for one in mutable)
    return [Flaw.forbidden("spec", f"updates to the specification for fields other than {shown} are not allowed")]


def _fixed(obj: Object, mutable: tuple[str, ...]) -> Object:
    spec = obj.get("spec") or {}
    fixed = {field: value for field, value in spec.items() if field not in mutable}
    for field in ("containers", "initContainers"):
        fixed[f"of {field}"] = [{**one, "image": ""} for one in entries(spec, field)]
    return fixed

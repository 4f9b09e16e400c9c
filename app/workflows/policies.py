"""Who decides: the request, else the instance's policy, else the service's setting. All of it is decided here."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import NotSupported
from app.host.config import Policy
from app.settings import Settings

Source = Literal["request", "policy", "setting", "rollout"]


class Rules(BaseModel):
    """What holds for one instance: the fields of a policy, all of them decided."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    use_velero_backup: bool
    keep_last: int
    validate_level: Literal["deep", "quick"] = Field(alias="validate")
    on_partial: Literal["fail", "accept"]
    exclude_namespaces: list[str]
    volumes: Literal["warn", "refuse", "file-system"]
    encryption: Literal["none", "at-rest"]
    stack: Literal["on-demand", "resident"]
    rerun_tasks: Literal["keep", "skip"]
    job_timeout_seconds: float
    backup_timeout_seconds: float
    restore_timeout_seconds: float
    workloads_timeout_seconds: float


class Decided(BaseModel):
    """The rules, and for each field who said so."""

    rules: Rules
    sources: dict[str, Source]


class PolicyBody(Policy):
    """A whole policy as a caller sends it. What is left out, or null, is the service's setting again."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)


class PolicyView(BaseModel):
    """What the user decided for an instance, and what holds for it."""

    model_config = ConfigDict(serialize_by_alias=True)

    instance_name: str
    set: PolicyBody = Field(description="The policy itself; null leaves a field to the setting.")
    effective: Rules = Field(description="What holds for a request that says nothing.")
    sources: dict[str, Source] = Field(
        description="Who says so, by field: the instance's `policy`, the service's `setting` or the `rollout`.",
        examples=[{"keep_last": "policy", "stack": "setting"}],
    )
    notes: list[str] = Field(description="What follows from it that is easily overlooked.")


def view_policy(settings: Settings, instance: str, policy: Policy) -> PolicyView:
    """The policy beside the rules that come of it."""
    decided = decide(settings, policy)
    return PolicyView(
        instance_name=instance,
        set=PolicyBody.model_validate(policy.model_dump(include=set(Policy.model_fields))),
        effective=decided.rules,
        sources={field.alias or name: decided.sources[name] for name, field in Policy.model_fields.items()},
        notes=_notes(decided.rules, policy),
    )


def _notes(rules: Rules, policy: Policy) -> list[str]:
    notes = []
    if not rules.use_velero_backup:
        notes.append("A stop makes no backup and powers off unprotected, unless its request asks for one.")
    if rules.validate_level == "quick":
        notes.append("With validate: quick no backup is proven: stops are unprotected, starts restore none by itself.")
    if rules.on_partial == "accept":
        notes.append("A backup that ends as PartiallyFailed is kept, but not proven: the stop is then unprotected.")
    if rules.exclude_namespaces:
        notes.append("What is in exclude_namespaces is lost when the cluster is made anew.")
    if policy.model_extra:
        notes.append(f"config.json has keys unknown here, which are kept: {', '.join(sorted(policy.model_extra))}.")
    return notes


def replaced(policy: Policy, body: PolicyBody) -> Policy:
    """The policy a caller sends in place of another; what another version has written beside it is kept."""
    return Policy.model_validate((policy.model_extra or {}) | body.model_dump(exclude_none=True))


def decide(settings: Settings, policy: Policy, wish: Policy | None = None) -> Decided:
    """Field by field, the first that says anything; ``wish`` is what the request says, in the words of a policy."""
    layers: dict[Source, Mapping[str, Any]] = {
        "request": (wish or Policy()).__dict__,
        "policy": policy.__dict__,
        "setting": _said_by(settings),
        # ADR-0025's stages say one thing only: whether Velero is used if nobody else says anything.
        "rollout": {"use_velero_backup": settings.rollout != "opt-in"},
    }
    sources = {name: _first(layers, name) for name in Rules.model_fields}
    values = {name: layers[source][name] for name, source in sources.items()}
    return Decided(rules=Rules(**values), sources=sources)


def _said_by(settings: Settings) -> dict[str, Any]:
    return settings.workflow.__dict__ | {
        "use_velero_backup": settings.use_velero_backup,
        "exclude_namespaces": [],
        "encryption": settings.stack.encryption,
        "stack": settings.stack.mode,
    }


def _first(layers: Mapping[Source, Mapping[str, Any]], name: str) -> Source:
    return next(source for source, said in layers.items() if said.get(name) is not None)


def refuse_in_sandbox(settings: Settings, rules: Rules) -> None:
    """Raises ``NotSupported`` for what the sandbox could only pretend to do."""
    if settings.driver == "sandbox" and rules.encryption == "at-rest":
        raise NotSupported(
            "encryption: 'at-rest' is MinIO's work, and the sandbox's object store is SeaweedFS",
            remedy="Leave encryption out of the instance's policy, or use a real cluster.",
            field="encryption",
        )

"""What a policy must not say: that which its own other words, or the service's settings, speak against."""

from fnmatch import fnmatchcase

from app.errors import ContradictingPolicy
from app.host.config import InstanceConfig, Policy
from app.settings import Settings
from app.velero.scope import KECS_SYSTEM, KUBE_SYSTEM
from app.workflows.policies import decide, refuse_in_sandbox
from app.workflows.rollout import choose_velero

#: Of these a backup takes only what a user has made, and KECS brings none of it back.
_NEVER_LEFT_OUT = (KUBE_SYSTEM, KECS_SYSTEM)
_PARTS_OF_A_JOB = ("backup_timeout_seconds", "restore_timeout_seconds", "workloads_timeout_seconds")


def refuse_contradictions(settings: Settings, config: InstanceConfig) -> None:
    """Raises a problem that names the fields, before anything of the policy in ``config`` holds."""
    policy = config.policy
    refuse_in_sandbox(settings, decide(settings, policy).rules)
    choose_velero(settings, config, wish=None)
    _refuse_system_namespaces(policy)
    _refuse_protection_without_backups(policy)
    _refuse_parts_longer_than_the_job(settings, policy)


def _refuse_system_namespaces(policy: Policy) -> None:
    for pattern in policy.exclude_namespaces or ():
        for name in _NEVER_LEFT_OUT:
            if fnmatchcase(name, pattern):
                raise ContradictingPolicy(
                    f"exclude_namespaces: {pattern!r} leaves out {name}, and KECS brings back nothing users made there",
                    remedy="Name only namespaces of your own; of the system's a backup takes only what users made.",
                    fields=["exclude_namespaces"],
                )


def _refuse_protection_without_backups(policy: Policy) -> None:
    asking = {"volumes": policy.volumes not in {None, "warn"}, "encryption": policy.encryption not in {None, "none"}}
    asked = [field for field, asks in asking.items() if asks]
    if policy.use_velero_backup is False and asked:
        raise ContradictingPolicy(
            f"use_velero_backup: false makes no backups, and {' and '.join(asked)} asks something of them",
            remedy="Leave one of them out.",
            fields=["use_velero_backup", *asked],
        )


def _refuse_parts_longer_than_the_job(settings: Settings, policy: Policy) -> None:
    rules = decide(settings, policy).rules
    job, most = rules.job_timeout_seconds, settings.workflow.max_job_timeout_seconds
    if policy.job_timeout_seconds is not None and job > most:
        raise ContradictingPolicy(
            f"job_timeout_seconds: {job:g} is more than this service allows ({most:g})",
            remedy="Ask for less, or raise KECS_STATE_WORKFLOW__MAX_JOB_TIMEOUT_SECONDS.",
            fields=["job_timeout_seconds"],
        )
    for field in _PARTS_OF_A_JOB:
        said = policy.job_timeout_seconds is not None or getattr(policy, field) is not None
        if said and getattr(rules, field) > job:
            raise ContradictingPolicy(
                f"{field}: {getattr(rules, field):g} is more than its whole job may take ({job:g})",
                remedy=f"Lower {field}, or raise job_timeout_seconds with it.",
                fields=[field, "job_timeout_seconds"],
            )

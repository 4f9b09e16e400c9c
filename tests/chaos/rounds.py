"""What may be done to an instance, in which of its steps a kill falls, and who is killed: all by one seed."""

import random
from dataclasses import dataclass

#: Where kills fall; by the clock alone nearly all of them fell on the three longest steps, and none on a power-off.
BACKUP = ["prepare-scope", "wake-stack", "create-backup", "wait-for-backup", "prove-backup", "prune-backups"]
FULL_RESTORE = [
    "identify-and-decide",
    "wake-stack",
    "choose-backup",
    "hold-kecs-server",
    "restore-everything",
    "update-poorer-deployments",
    "release-kecs-server",
    "restore-webhooks",
    "compare-content",
    "settle-outstanding",
]
STEPS = {
    "stop": [*BACKUP, "sleep-stack", *["power-off", "verify-off"] * 3, "copy-state"],
    "start": ["power-on", "wait-for-api", "look-for-missing", "restore-missing", "compare-content"],
    "start anew": FULL_RESTORE,
    "backup": BACKUP,
    "restore": FULL_RESTORE,
    "validate": ["wake-stack", "examine-backup"],
    "delete-backup": ["check-deletable", "delete-and-forget"],
    "rebuild": ["wake-stack", "read-history"],
    "migrate": ["ask-kecs", *BACKUP, "check-coverage", "switch-policy"],
    "stack-wake": ["wake-stack"],
    "stack-sleep": ["sleep-stack"],
}
#: How often, beside each other, on an instance that runs and on one that is off.
RUNNING = {"stop": 12, "backup": 4, "restore": 2, "validate": 1, "delete-backup": 1, "rebuild": 1, "migrate": 1}
RUNNING |= {"stack-wake": 1, "stack-sleep": 1}
STOPPED = {"start": 5, "start anew": 3}
#: ``delivery``: the service, while a receiver is about to answer it.
VICTIMS = {"service": 10, "delivery": 3, "velero": 3, "s3": 3, "cluster": 2}
#: After the step has begun: the last one often is in a later step or after the job's end.
DELAYS_SECONDS = [0, 0, 0.01, 0.05, 0.3]


@dataclass(frozen=True)
class Kill:
    """One planned kill."""

    operation: str
    victim: str
    step: str
    delay_seconds: float


def plan_kill(moments: random.Random, *, running: bool) -> Kill:
    """The next one, for an instance that runs or is off."""
    operation = _one_of(moments, RUNNING if running else STOPPED)
    victim, step, delay = _one_of(moments, VICTIMS), moments.choice(STEPS[operation]), moments.choice(DELAYS_SECONDS)
    return Kill(operation, victim, step, delay)


def _one_of(moments: random.Random, weights: dict[str, int]) -> str:
    return moments.choices(list(weights), list(weights.values()))[0]

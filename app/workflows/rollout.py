"""Whether Velero is used: what the request says, else the instance's policy, else the service's flag, else the stage.

The three stages are ADR-0025's versions 1.0, 1.1 and 1.2. Without Velero an instance comes back by KECS's own
restoration alone, so a stop without it is never called protected.
"""

from collections.abc import Mapping

from app.errors import VeleroBackupRequired
from app.host.config import InstanceConfig, Policy
from app.jobs.journal import Journal
from app.settings import Settings
from app.workflows.outcomes import VeleroChoice
from app.workflows.policies import Source, decide
from app.workflows.requests import RestoreOptions, StartRequest, StopRequest
from app.workflows.world import InstanceSession

WHO: Mapping[Source, str] = {
    "request": "the request",
    "policy": "the instance's policy",
    "setting": "the service's flag",
}


def choose_velero(settings: Settings, config: InstanceConfig | None, *, wish: bool | None) -> VeleroChoice:
    """The first of the four that says anything decides; raises ``VeleroBackupRequired`` where the stage forbids it.

    ``wish`` is what the request says.
    """
    policy = config.policy if config else Policy()
    decided = decide(settings, policy, Policy(use_velero_backup=wish))
    use, source = decided.rules.use_velero_backup, decided.sources["use_velero_backup"]
    if source == "rollout":
        return VeleroChoice(use=use, asked=False, because=f"the rollout is {settings.rollout!r}")
    return _as_said(settings, WHO[source], use=use)


def _as_said(settings: Settings, who: str, *, use: bool) -> VeleroChoice:
    if settings.rollout == "only" and not use:
        raise VeleroBackupRequired(
            f"{who} says to do without Velero, and the rollout is 'only'",
            remedy="Leave that out. To power off without any backup, stop with backup.mode 'skip'; "
            "to power on without a restore, start with restore.mode 'never'.",
        )
    return VeleroChoice(use=use, asked=True, because=f"{who} says so")


async def choose_for_stop(session: InstanceSession, journal: Journal, request: StopRequest) -> VeleroChoice:
    """Whether this stop makes a backup; doing without is deprecated from the stage ``default`` on."""
    settings = session.settings
    choice = choose_velero(settings, session.directory.load_config(), wish=request.velero_wish)
    if not choice.use and settings.rollout == "default":
        await journal.warn(
            "duckdb-deprecated",
            "without a Velero backup only KECS's own restoration is left; it is deprecated and not counted on "
            "from the rollout 'only' on",
        )
    return choice


async def choose_for_start(session: InstanceSession, request: StartRequest) -> RestoreOptions:
    """What this start brings back; in stage ``opt-in`` a backup that was asked for at the stop is used unasked."""
    wish = request.restore
    choice = choose_velero(session.settings, session.directory.load_config(), wish=request.velero_wish)
    return wish if choice.use or not choice.asked else wish.model_copy(update={"mode": "never"})

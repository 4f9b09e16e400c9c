"""What is done about volumes: whose word counts, who is refused, and what came of each."""

from datetime import UTC, datetime, timedelta
from typing import Literal

from app.errors import VolumesNotSaved
from app.host.config import Policy
from app.proof.evidence import find_proof
from app.velero.repositories import maintain_repositories as maintain
from app.velero.volumes import ClusterVolumes, PodVolume
from app.workflows.requests import NotSaved, PreflightCheck, ScopeOptions
from app.workflows.world import InstanceSession

VolumesMode = Literal["warn", "refuse", "file-system"]
#: Volumes named in a problem; the rest is counted.
MOST_NAMED = 20
#: How often repositories are cleaned. kopia frees what was deleted in its second cleaning a day later at the earliest.
MAINTENANCE_EVERY = timedelta(days=1)


def volumes_mode(session: InstanceSession, options: ScopeOptions | None = None) -> VolumesMode:
    """What the request says, else the instance's policy, else the setting."""
    asked = options.include_volumes if options is not None else None
    wish: VolumesMode | None = None if asked is None else "file-system" if asked else "warn"
    return session.rules(Policy(volumes=wish)).volumes


def volumes_not_saved(volumes: ClusterVolumes) -> list[NotSaved]:
    """Every volume with data that the backup will not hold."""
    return [NotSaved(kind="volume", name=place, reason=reason) for place, reason in volumes.lost]


def refuse_lost_volumes(instance: str, volumes: ClusterVolumes) -> None:
    """Raise ``VolumesNotSaved`` naming what would be lost, if anything would."""
    lost = volumes.lost
    if lost:
        first = ", ".join(place for place, _reason in lost[:3])
        raise VolumesNotSaved(
            f"the backup would not hold {len(lost)} volumes: {first}",
            remedy="Save what can be saved with `include_volumes: true`, leave the rest out knowingly with "
            "`include_volumes: false`, or change the instance's policy for volumes.",
            instance_name=instance,
            volumes=[f"{place}: {reason}" for place, reason in lost[:MOST_NAMED]],
            volumes_total=len(lost),
        )


def check_volumes(instance: str, mode: VolumesMode, volumes: ClusterVolumes) -> PreflightCheck:
    """The same as a check of the preflight."""
    lost = len(volumes.lost)
    if mode == "refuse":
        try:
            refuse_lost_volumes(instance, volumes)
        except VolumesNotSaved as error:
            return PreflightCheck(
                name="volumes", outcome="refused", detail=error.detail, remedy=error.remedy, code=error.code
            )
    return PreflightCheck(name="volumes", outcome="warns" if lost else "ok", detail=f"{lost} would not be saved")


def proven_volumes(session: InstanceSession, backup: str) -> list[PodVolume]:
    """Every volume of running pods and what became of it, as the backup's proof has it."""
    proof = find_proof(session.directory, backup)
    return proof.volumes if proof is not None else []


async def maintain_repositories(session: InstanceSession) -> list[str]:
    """Let Velero clean the repositories of volumes if a day has passed since it last did; gives their names.

    Without that, what belonged to deleted backups would keep its space for ever.
    """
    now, last = datetime.now(UTC), session.directory.update_config().volumes_maintained_at
    if last is not None and now - last < MAINTENANCE_EVERY:
        return []
    settings = session.settings
    names = []
    if last is not None:
        names = await maintain(
            await session.kube(),
            settings.stack.namespace,
            timeout_seconds=settings.workflow.volume_maintenance_seconds,
        )
    session.directory.update_config(volumes_maintained_at=now)
    return names

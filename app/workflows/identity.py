"""Which cluster this is, and what a start has to do about it.

A cluster is known by the UID of its kube-system namespace: the same UID means the cluster survived, another
one means that somebody made it anew and whatever it held is gone.
"""

from datetime import UTC, datetime

from uuid6 import uuid7

from app.errors import RestoreOutstanding
from app.host.config import InstanceConfig
from app.ports import PowerState
from app.workflows.outcomes import Decision, Identity, PowerReading
from app.workflows.power import read_power
from app.workflows.requests import RestoreOptions
from app.workflows.world import InstanceSession


def outstanding_error(instance: str, backup: str) -> RestoreOutstanding:
    """The 409 that keeps an unrestored cluster from displacing the backups that hold its state."""
    return RestoreOutstanding(
        f"the state in backup {backup!r} has not been brought back to instance {instance!r}; "
        "a backup made now would push the good ones out",
        remedy=f"Bring it back with POST /instances/{instance}/start, or give it up with "
        f"POST /instances/{instance}/restore-outstanding/accept.",
        instance_name=instance,
        backup=backup,
        ways_out=[f"/instances/{instance}/start", f"/instances/{instance}/restore-outstanding/accept"],
    )


async def newest_proven(session: InstanceSession) -> str | None:
    """The newest proven full backup of this instance, by the rows that outlive the cluster."""
    config = session.directory.load_config()
    if config is None:
        return None
    for record in await session.world.store.backups.kept(session.instance):
        if record.status == "proven" and record.scope == "full" and record.instance_id == config.instance_id:
            return record.name
    return None


async def identify_cluster(session: InstanceSession) -> Identity:
    """Make sure this is the recorded cluster before it is backed up; records a first one.

    Raises ``RestoreOutstanding`` when a restore is due, and makes it due when the UID is new while a proven
    backup exists: backing such a cluster up would prune the good backups away.
    """
    uid = await (await session.kube()).cluster_uid()
    config = session.directory.load_config()
    if config is None:
        return record_new_instance(session, uid)
    due = config.restore_outstanding or config.restore_pending
    if config.cluster_uid not in {None, uid}:
        due = due or await newest_proven(session)
    session.directory.update_config(cluster_uid=uid, restore_outstanding=due, restore_pending=None)
    if due is not None:
        raise outstanding_error(session.instance, due)
    return Identity(cluster_uid=uid, instance_id=config.instance_id)


def record_new_instance(session: InstanceSession, uid: str) -> Identity:
    """Write the first ``config.json``: a new instance with an id of its own.

    Backups that lie in its bucket already are another instance's history; they are restored only by name.
    """
    config = new_record(cluster_uid=uid)
    session.directory.save_config(config)
    return Identity(cluster_uid=uid, instance_id=config.instance_id, new_record=True)


async def record_identity(session: InstanceSession) -> None:
    """Record which cluster this is, if it runs and that was never done; a policy may have been set before."""
    if (await read_power(session)).state is not PowerState.RUNNING:
        return
    uid = await (await session.kube()).cluster_uid()
    if session.directory.load_config() is None:
        record_new_instance(session, uid)
    else:
        session.directory.update_config(cluster_uid=uid)


def new_record(*, cluster_uid: str | None) -> InstanceConfig:
    """A new instance; without a UID where its policy was set before its cluster was ever seen."""
    return InstanceConfig(instance_id=str(uuid7()), created_at=datetime.now(UTC), cluster_uid=cluster_uid)


async def note_restore_pending(session: InstanceSession, before: PowerReading) -> None:
    """Before power-on: write down what must come back, so that nothing after this can forget it."""
    config = session.directory.load_config()
    if config is None or config.restore_outstanding or config.restore_pending:
        return
    session.directory.update_config(
        restore_pending=await newest_proven(session), restore_pending_epoch=before.off_epoch
    )


async def identify_and_decide(session: InstanceSession, wish: RestoreOptions) -> Decision:
    """What this start has to do; the recorded state is brought up to date in one write."""
    uid = await (await session.kube()).cluster_uid()
    config = session.directory.load_config()
    newest = await newest_proven(session)
    decision = decide(config, uid, newest, wish)
    if config is None:
        record_new_instance(session, uid)
        return decision
    session.directory.update_config(
        cluster_uid=uid,
        restore_outstanding=decision.backup if decision.outstanding else config.restore_outstanding,
        restore_pending=None,
        restore_pending_epoch=None,
    )
    return decision


def decide(config: InstanceConfig | None, uid: str, newest: str | None, wish: RestoreOptions) -> Decision:
    """The rules of identity as one table, top to bottom.

    ``newest`` is the newest proven full backup. ``outstanding`` in the answer says that from now on the
    restore is due until it is verified or given up.
    """
    if wish.selective:
        return _by_request("selective", wish, newest, "a part was asked for")
    if wish.backup_id is not None and wish.mode != "never":
        return Decision(action="restore", backup=wish.backup_id, reason="this backup was asked for")
    if config is None or config.cluster_uid is None:
        return Decision(action="record", reason="first seen now; nothing is known that could be missing")
    if wish.mode == "never":
        return _power_on_only(config, uid, newest)
    return _by_identity(config, uid, newest, wish)


def _by_identity(config: InstanceConfig, uid: str, newest: str | None, wish: RestoreOptions) -> Decision:
    if config.restore_outstanding:
        return Decision(
            action="restore", backup=config.restore_outstanding, reason="a restore is outstanding", outstanding=True
        )
    if config.cluster_uid not in {None, uid}:
        return _recreated(config, newest)
    if wish.mode == "always":
        return _by_request("restore", wish, newest, "a restore was asked for")
    return _survived(config, newest)


def _by_request(action: str, wish: RestoreOptions, newest: str | None, reason: str) -> Decision:
    backup = wish.backup_id or newest
    if backup is None:
        return Decision(action="nothing-to-restore", reason="there is no proven backup")
    return Decision.model_validate({"action": action, "backup": backup, "reason": reason})


def _power_on_only(config: InstanceConfig, uid: str, newest: str | None) -> Decision:
    recreated = config.cluster_uid not in {None, uid}
    return Decision(
        action="power-on-only",
        backup=newest if recreated else None,
        reason="no restore was asked for",
        outstanding=recreated and newest is not None,
    )


def _recreated(config: InstanceConfig, newest: str | None) -> Decision:
    backup = config.restore_pending or newest
    if backup is None:
        return Decision(action="nothing-to-restore", reason="the cluster is new and there is no proven backup")
    return Decision(action="restore", backup=backup, reason="the cluster was made anew", outstanding=True)


def _survived(config: InstanceConfig, newest: str | None) -> Decision:
    pending = config.restore_pending
    if pending is None:
        return Decision(action="noop", reason="the cluster is the recorded one and was running")
    if pending != newest or pending != config.stopped_with:
        return Decision(action="survived", reason="the cluster survived, but no proven stop of ours turned it off")
    if not config.powered_by_nobody_since(config.restore_pending_epoch):
        return Decision(action="survived", reason="the cluster survived, but somebody may have powered it meanwhile")
    return Decision(
        action="repair", backup=pending, reason="the cluster survived the stop that made this backup", outstanding=True
    )

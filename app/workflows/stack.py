"""Steps that wake the stack for a job and put it to sleep again."""

from app.host.config import StorageRecord
from app.host.credentials import ensure_credentials, ensure_repository_password
from app.host.instance_directory import owner_ids, storage_paths
from app.jobs.journal import Journal
from app.velero.stack.sleep import sleep
from app.velero.stack.wake import StackContext, wake
from app.workflows.world import InstanceSession


async def storage_record(session: InstanceSession) -> StorageRecord:
    """Where MinIO's data lies, on the node and on the host; refuses a place that would die with the node."""
    mounts = await session.world.clusters.mounts(session.instance)
    record = storage_paths(session.directory, mounts)
    session.directory.prepare(session.settings.stack)
    if session.directory.load_config() is not None:
        session.directory.update_config(storage=record)
    return record


async def wake_stack(session: InstanceSession, journal: Journal, woken_by: str = "job") -> None:
    """Velero and MinIO up, and the storage location validated anew; installs what is not there yet."""
    storage = await storage_record(session)

    async def report(message: str) -> None:
        await journal.progress(message)

    context = StackContext(
        kube=await session.kube(),
        settings=session.settings.stack,
        credentials=ensure_credentials(session.directory),
        repository_password=ensure_repository_password(session.directory),
        storage_node_path=storage.node_path,
        owner_ids=owner_ids(session.directory.path),
        crd_cache=session.directory.path / "velero-config" / "crds.json",
        open_store=session.objects,
        active_jobs=frozenset({journal.job.id}),
        woken_by=woken_by,
        on_progress=report,
    )
    await wake(context)


async def sleep_stack(session: InstanceSession, *, force: bool = False) -> bool:
    """Scale the stack to zero; one that a person woke, or a resident one, only by ``force``. Says whether it sleeps."""
    return await sleep(await session.kube(), session.settings.stack, force=force)

"""Steps that wake the stack for a job and put it to sleep again."""

from app.errors import ClusterCommandError
from app.host.config import ExternalRecord, StorageRecord
from app.host.credentials import ensure_credentials, ensure_repository_password
from app.host.external import authority, external_keys
from app.host.instance_directory import external_document, owner_ids, storage_paths
from app.jobs.journal import Journal
from app.kubernetes.resources import DEPLOYMENTS
from app.storage.ownership import claim
from app.velero.preflight import missing_images
from app.velero.stack.external import ExternalPlace
from app.velero.stack.manifests import VELERO, MinioPlace
from app.velero.stack.node_agent import wake_node_agent
from app.velero.stack.public_url import publish
from app.velero.stack.sleep import sleep
from app.velero.stack.state import woken_by
from app.velero.stack.wake import StackContext, wake
from app.workflows.encryption import encrypt_what_lies_in_clear, store_encryption
from app.workflows.world import InstanceSession


async def storage_record(session: InstanceSession) -> StorageRecord | ExternalRecord:
    """Where the backups go, recorded from now on.

    Refuses a place that would die with the node, and a part of an external store that is not this instance's.
    """
    external = session.external()
    if external is None:
        return await host_record(session)
    await claim(await session.external_objects(external), session.instance_id, str(external))
    session.directory.prepare_private(external_document(external, session.settings.stack))
    session.directory.update_config(storage=external)
    return external


async def host_record(session: InstanceSession) -> StorageRecord:
    """Where MinIO's data lies, on the node and on the host; refuses a place that would die with the node."""
    record = await prepare_host(session)
    if session.directory.load_config() is not None:
        session.directory.update_config(storage=record)
    return record


async def prepare_host(session: InstanceSession) -> StorageRecord:
    """The same without recording it."""
    mounts = await session.mounts()
    record = storage_paths(session.directory, mounts)
    session.directory.prepare(session.settings.stack, encrypted=session.rules().encryption == "at-rest")
    return record


def place_on(session: InstanceSession, record: StorageRecord | ExternalRecord) -> MinioPlace | ExternalPlace:
    """The recorded place as the stack is told of it, with keys and certificates as they are now."""
    if isinstance(record, StorageRecord):
        return MinioPlace(record.node_path, *owner_ids(session.directory.path), store_encryption(session))
    settings = session.settings.storage
    assert settings is not None  # noqa: S101 - such a record is only given where they lead to it
    url = settings.cluster_endpoint or record.endpoint
    return ExternalPlace(
        url=url,
        public_url=record.endpoint if url != record.endpoint else "",
        bucket=record.bucket,
        prefix=record.prefix,
        region=settings.region,
        path_style=settings.path_style,
        authority=authority(settings),
        credentials=external_keys(settings),
    )


async def wake_stack(session: InstanceSession, journal: Journal, woken_by: str = "job") -> None:
    """Velero and MinIO up, and the storage location validated anew; installs what is not there yet."""
    encryption = store_encryption(session)
    storage = await storage_record(session)
    await provide_images(session, journal, minio=isinstance(storage, StorageRecord))

    async def report(message: str) -> None:
        await journal.progress(message)

    context = StackContext(
        kube=await session.kube(),
        settings=session.stack,
        credentials=ensure_credentials(session.directory),
        repository_password=ensure_repository_password(session.directory),
        place=place_on(session, storage),
        crd_cache=session.directory.path / "velero-config" / "crds.json",
        open_store=session.minio,
        encryption=encryption,
        active_jobs=frozenset({journal.job.id}),
        woken_by=woken_by,
        on_progress=report,
    )
    await wake(context)
    await encrypt_what_lies_in_clear(session, journal, encryption)


async def start_node_agent(session: InstanceSession) -> None:
    """What reads and writes volumes, up on every node; it goes to sleep with the stack."""
    await wake_node_agent(await session.kube(), session.settings.stack)


async def provide_images(session: InstanceSession, journal: Journal, *, minio: bool) -> None:
    """What a node lacks and this machine has: a cluster made anew need not pull it again, nor have a network."""
    missing = await missing_images(await session.kube(), session.settings.stack, minio=minio)
    if not missing:
        return
    try:
        await session.world.clusters.import_images(session.instance, missing)
    except ClusterCommandError as error:
        await journal.warn(
            "images-not-imported", f"the node pulls its images instead: {error.detail}", remedy=error.remedy
        )


async def sleep_stack(session: InstanceSession, *, force: bool = False) -> bool:
    """Scale the stack to zero; one that a person woke, or a resident one, only by ``force``. Says whether it sleeps."""
    kube, settings = await session.kube(), session.stack
    sleeps = await sleep(kube, settings, force=force)
    if sleeps or force:
        await session.world.forwards.close(session.instance)
        # Also the address that a service left behind whose end was not orderly.
        await publish(kube, settings, None)
    return sleeps


async def open_forward(session: InstanceSession) -> str:
    """MinIO on a port of this machine, until the stack sleeps; Velero signs downloads for that address.

    An external store is reached where it is, so there is nothing to open.
    """
    external = session.external()
    if external is not None:
        return external.endpoint
    settings = session.settings.stack
    access = await session.world.clusters.access(session.instance)
    url = await session.world.forwards.open(session.instance, access, settings)
    await publish(await session.kube(), settings, url)
    return url


async def is_kept_up_by_user(session: InstanceSession) -> bool:
    """Whether a person has woken the stack and not put it to sleep since."""
    deployment = await (await session.kube()).find(DEPLOYMENTS, VELERO, session.settings.stack.namespace)
    return woken_by(deployment) == "user"

"""``python -m app.sandbox.velero server|node-agent|install``: the Velero image's command line, as far as it is used."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

DISABLEABLE = frozenset({
    "backup-queue", "backup", "backup-operations", "backup-deletion", "backup-finalizer", "backup-sync",
    "download-request", "gc", "backup-repo", "restore", "restore-operations", "schedule",
    "server-status-request", "restore-finalizer",
})  # fmt: skip


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="velero", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("server", allow_abbrev=False)
    server.add_argument("--kubeconfig", default=os.environ.get("KECS_SANDBOX_KUBECONFIG"))
    server.add_argument("--namespace", default=os.environ.get("VELERO_NAMESPACE") or "velero")
    server.add_argument("--disable-controllers", default="")
    server.add_argument("--default-backup-storage-location", default="default")
    server.add_argument("--default-backup-ttl", default="720h0m0s")
    server.add_argument("--store-validation-frequency", default="1m0s")
    server.add_argument("--backup-sync-period", default="1m0s")
    server.add_argument("--concurrent-backups", type=int, default=1)
    server.add_argument("--default-repo-maintain-frequency", default="1h0m0s")
    agent = commands.add_parser("node-agent", allow_abbrev=False)
    agent.add_argument("role", choices=["server"])
    helper = commands.add_parser("/velero-restore-helper", allow_abbrev=False)
    helper.add_argument("restore_uid")
    install = commands.add_parser("install", allow_abbrev=False)
    for flag in ("--crds-only", "--dry-run"):
        install.add_argument(flag, action="store_true", required=True)
    install.add_argument("-o", dest="output", choices=["json"], required=True)
    return parser


def _install() -> int:
    from app.sandbox.velero.kinds import custom_resource_definitions

    sys.stdout.write(json.dumps(custom_resource_definitions(), indent=2) + "\n")
    return 0


def _mounted(path: str | None) -> str | None:
    """A path of the container as a path of the host, by the mounts the kubelet tells."""
    mounts: dict[str, str] = json.loads(os.environ.get("KECS_SANDBOX_MOUNTS") or "{}")
    if path is None:
        return None
    for mount in sorted(mounts, key=len, reverse=True):
        if path == mount or path.startswith(mount.rstrip("/") + "/"):
            return mounts[mount] + path[len(mount.rstrip("/")) :]
    return path


def _path_from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None


async def _server(flags: argparse.Namespace) -> int:
    """Imports stand here so that ``install`` does not pay for them."""
    import aiohttp

    from app.sandbox.apiclient import ApiError, KubernetesApi
    from app.sandbox.velero.bucket import Buckets, Endpoints
    from app.sandbox.velero.discovery import Discovery
    from app.sandbox.velero.server import StartError, serve
    from app.sandbox.velero.switches import Switches
    from app.sandbox.velero.world import Options, World

    log = logging.getLogger("velero")
    disabled = frozenset(filter(None, flags.disable_controllers.split(",")))
    if unknown := disabled - DISABLEABLE:
        log.error("Invalid list of controllers to disable: %s", sorted(unknown))
        return 1
    if not flags.kubeconfig:
        log.error("no kubeconfig: give --kubeconfig or set KECS_SANDBOX_KUBECONFIG")
        return 1
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs has one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    options = Options(
        namespace=flags.namespace,
        disabled=disabled,
        default_location=flags.default_backup_storage_location,
        default_ttl=flags.default_backup_ttl,
        validation_frequency=flags.store_validation_frequency,
        sync_period=flags.backup_sync_period,
        concurrent_backups=flags.concurrent_backups,
        maintenance_frequency=flags.default_repo_maintain_frequency,
    )
    try:
        async with (
            KubernetesApi.from_kubeconfig(Path(flags.kubeconfig)) as api,
            Buckets(Endpoints(_path_from_environment("KECS_SANDBOX_ENDPOINTS"))) as buckets,
        ):
            switches = Switches(_path_from_environment("KECS_SANDBOX_FAULTS"))
            credentials = _mounted(os.environ.get("AWS_SHARED_CREDENTIALS_FILE"))
            await serve(World(api, Discovery(api), buckets, switches, options, credentials))
    except (StartError, ApiError, aiohttp.ClientError) as error:
        log.error("An error occurred: %s", error)  # noqa: TRY400 - the reason is the message, not a traceback
        return 1
    except asyncio.CancelledError:
        return 0
    return 0


async def _node_agent() -> int:
    """Until it is ended; what it needs is in the environment, as in the real one's pod."""
    from app.sandbox.apiclient import KubernetesApi
    from app.sandbox.velero.bucket import Buckets, Endpoints
    from app.sandbox.velero.discovery import Discovery
    from app.sandbox.velero.nodeagent import serve_node
    from app.sandbox.velero.switches import Switches
    from app.sandbox.velero.world import Options, World

    pods, kubeconfig = _mounted("/host_pods"), Path(os.environ["KECS_SANDBOX_KUBECONFIG"])
    options = Options(namespace=os.environ.get("VELERO_NAMESPACE") or "velero")
    async with (
        KubernetesApi.from_kubeconfig(kubeconfig) as api,
        Buckets(Endpoints(_path_from_environment("KECS_SANDBOX_ENDPOINTS"))) as buckets,
    ):
        switches = Switches(_path_from_environment("KECS_SANDBOX_FAULTS"))
        credentials = _mounted(os.environ.get("AWS_SHARED_CREDENTIALS_FILE"))
        world = World(api, Discovery(api), buckets, switches, options, credentials)
        await serve_node(world, os.environ["NODE_NAME"], Path(str(pods)))
    return 0


async def _restore_helper(restore_uid: str) -> int:
    from app.sandbox.velero.nodeagent import wait_for_data

    mounts: dict[str, str] = json.loads(os.environ.get("KECS_SANDBOX_MOUNTS") or "{}")
    await wait_for_data([Path(path) for mount, path in mounts.items() if mount.startswith("/restores/")], restore_uid)
    return 0


def main() -> int:
    """The process's exit status."""
    flags, ignored = _arguments().parse_known_args()
    if flags.command == "install":
        return _install()
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO,
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        format='time="%(asctime)s" level=%(levelname)s msg="%(message)s"',
    )
    if ignored:
        logging.getLogger("velero").debug("flags without effect here: %s", ignored)
    if flags.command == "node-agent":
        return asyncio.run(_node_agent())
    if flags.command == "/velero-restore-helper":
        return asyncio.run(_restore_helper(flags.restore_uid))
    return asyncio.run(_server(flags))


if __name__ == "__main__":
    sys.exit(main())

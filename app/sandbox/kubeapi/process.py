"""The process: its files in one directory, its parts put together, its end."""

import asyncio
import base64
import json
import os
import secrets
import signal
import socket
import ssl
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from app.sandbox.faults import FILE, Rules
from app.sandbox.kubeapi import definitions
from app.sandbox.kubeapi.admission import Webhooks
from app.sandbox.kubeapi.bootstrap import bootstrap
from app.sandbox.kubeapi.deleting import Deleter
from app.sandbox.kubeapi.housekeeping import Housekeeping
from app.sandbox.kubeapi.pki import ensure_certificates, write_private
from app.sandbox.kubeapi.registry import Registry
from app.sandbox.kubeapi.server import ApiServer
from app.sandbox.kubeapi.store import Change, Store
from app.sandbox.kubeapi.watching import Watches
from app.sandbox.kubeapi.writing import Writer
from app.sandbox.ports import free_port

_SHUTDOWN_SECONDS = 0.3


async def serve(directory: Path, port: int, history: int) -> None:
    """Runs until SIGTERM or SIGINT. ``port`` 0 takes the one used before, or any free one."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca, certificate, key = ensure_certificates(directory / "pki")
    token = _token(directory / "pki" / "admin.token")
    port = port or _recorded_port(directory) or free_port()
    listener = _listen(port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    store = Store(directory / "store.db", history)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    watches = Watches(store)
    server, housekeeping = _assemble(store, watches, token, ca.read_text())
    faults = Rules(directory / FILE, "api")
    runner = web.AppRunner(server.application(faults), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=context, backlog=512).start()
    write_private(directory / "kubeconfig", _kubeconfig(ca.read_bytes(), token, port))
    write_private(directory / "api.json", json.dumps({"port": port, "pid": os.getpid()}).encode())
    chores = asyncio.create_task(housekeeping.run())
    end = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([end, chores], return_when=asyncio.FIRST_COMPLETED)
    finally:
        watches.close()
        end.cancel()
        crashed = chores.done()
        chores.cancel()
        await runner.cleanup()
        if not crashed:
            with suppress(asyncio.CancelledError):
                await chores
        store.close()
    if crashed:
        chores.result()


def _assemble(store: Store, watches: Watches, token: str, ca: str) -> tuple[ApiServer, Housekeeping]:
    registry = Registry()
    for record in store.records(definitions.STORAGE):
        registry.define(record.obj, fresh=False)

    def follow_definitions(change: Change) -> None:
        if change.after.key.storage == definitions.STORAGE:
            (registry.forget if change.type == "DELETED" else registry.define)(change.after.obj)

    store.listeners.append(follow_definitions)
    webhooks = Webhooks(store)
    deleter = Deleter(store, webhooks)
    housekeeping = Housekeeping(store, registry, deleter, ca)
    bootstrap(store, registry, housekeeping, ca)
    store.forget_history()
    housekeeping.begin()
    return ApiServer(store, registry, Writer(store, webhooks), deleter, watches, token), housekeeping


def _token(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_hex(24).encode())
    return path.read_text()


def _recorded_port(directory: Path) -> int:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads((directory / "api.json").read_text())["port"])
    return 0


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def _kubeconfig(ca: bytes, token: str, port: int) -> bytes:
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": base64.b64encode(ca).decode()}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "admin"}}],
        "current-context": "sandbox",
    }
    # JSON is YAML, and needs no library to be written.
    return json.dumps(config, indent=2).encode() + b"\n"

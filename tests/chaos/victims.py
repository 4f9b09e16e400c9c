"""Who is killed, each by its id and from outside: the service, Velero, the S3 server, or the whole cluster."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from app.sandbox import supervisor
from app.sandbox.supervisor import cluster_directory
from tests.instances import NAME
from tests.journal import until_step
from tests.product import Product

#: The program of each image, as it stands in its process's arguments.
PROGRAMS = {"velero": "app.sandbox.velero", "s3": "app.sandbox.objectstore"}


async def kill_in(product: Product, job: dict[str, Any], step: str, seconds: float = 0) -> None:
    """Kill the service some time after a step of a job has begun, and start it again."""
    await until_step(product.state_dir, job["id"], step)
    await asyncio.sleep(seconds)
    await kill_service(product)


async def kill_service(product: Product) -> None:
    """SIGKILL, and the next one started."""
    await product.service.kill()
    await product.service.start()


def kill_pod(product: Product, victim: str) -> bool:
    """SIGKILL for one process of the stack, which its kubelet then starts again; False if it does not run."""
    groups = cluster_directory(product.state_dir, NAME) / "pods.json"
    leaders: list[int] = json.loads(groups.read_text()) if groups.exists() else []
    of_program = [leader for leader in leaders if PROGRAMS[victim] in _arguments(leader)]
    for leader in of_program:
        os.killpg(leader, signal.SIGKILL)
    return bool(of_program)


async def cut_power(product: Product, seconds: float) -> bool:
    """Everything of the cluster at once, without a word to anybody; somebody powers it on again some time later."""
    if product.state() != "running":
        return False
    await supervisor.cut_power(product.state_dir, NAME)
    await asyncio.sleep(seconds)
    await supervisor.power_on(product.state_dir, NAME)
    return True


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except FileNotFoundError:
        return []

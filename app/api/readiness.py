"""Whether the service can do its work: its database takes writes, its power driver answers; and what may hinder it."""

import asyncio
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, Field

from app.api.dependencies import Services
from app.errors import ServiceError
from app.host.files import free_bytes

#: A check that takes longer counts as failed: who asks wants to know now.
CHECK_SECONDS = 5


class ReadinessCheck(BaseModel):
    """One thing the service needs."""

    name: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    needed: bool = Field(default=True, description="Whether the service is not ready without it.")


class Readiness(BaseModel):
    """Whether the service can do its work."""

    ready: bool
    checks: list[ReadinessCheck]


async def readiness_of(services: Services) -> Readiness:
    """Every check, at the same time; once for all who ask meanwhile."""
    return await services.readiness.result_of(lambda: _look_at(services))


async def _look_at(services: Services) -> Readiness:
    async def ask_power_driver() -> None:
        await services.operations.list_instances()

    database, driver, tools = await asyncio.gather(
        _check("database", services.database.check_writable),
        _check("power-driver", ask_power_driver),
        _tools(services),
    )
    checks = [database, driver, *tools, _disk(services)]
    return Readiness(ready=all(check.ok for check in checks if check.needed), checks=checks)


async def _check(name: str, look: Callable[[], Awaitable[None]]) -> ReadinessCheck:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await look()
    except TimeoutError:
        return ReadinessCheck(name=name, ok=False, detail=f"no answer within {CHECK_SECONDS} s")
    except ServiceError as error:
        return ReadinessCheck(name=name, ok=False, detail=error.detail, remedy=error.remedy)
    return ReadinessCheck(name=name, ok=True)


async def _tools(services: Services) -> list[ReadinessCheck]:
    """Not needed by themselves: whether the driver can do with them is what its own check says."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            found = await services.operations.tools()
    except TimeoutError:
        return [ReadinessCheck(name="tools", ok=False, detail=f"no answer within {CHECK_SECONDS} s", needed=False)]
    return [
        ReadinessCheck(name=tool.name, ok=tool.ok, detail=tool.detail, remedy=tool.remedy, needed=False)
        for tool in found
    ]


def _disk(services: Services) -> ReadinessCheck:
    home, needed = services.settings.instances_directory, services.settings.stack.min_free_bytes
    free = free_bytes(home)
    return ReadinessCheck(
        name="disk",
        ok=free >= needed,
        detail=f"{free / 1024**3:.1f} GiB free in {home}",
        remedy="" if free >= needed else f"Free space there: a backup needs {needed / 1024**3:.1f} GiB.",
        needed=False,
    )

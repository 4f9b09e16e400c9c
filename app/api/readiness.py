"""Whether the service can do its work: its database takes writes, its power driver answers."""

import asyncio
from collections.abc import Awaitable, Callable

from pydantic import BaseModel

from app.api.dependencies import Services
from app.errors import ServiceError

#: A check that takes longer counts as failed: who asks wants to know now.
CHECK_SECONDS = 5


class ReadinessCheck(BaseModel):
    """One thing the service needs."""

    name: str
    ok: bool
    detail: str = ""


class Readiness(BaseModel):
    """Whether the service can do its work."""

    ready: bool
    checks: list[ReadinessCheck]


async def look_at(services: Services) -> Readiness:
    """Every check, at the same time."""

    async def ask_power_driver() -> None:
        await services.operations.list_instances()

    checks = await asyncio.gather(
        _check("database", services.database.check_writable), _check("power-driver", ask_power_driver)
    )
    return Readiness(ready=all(check.ok for check in checks), checks=checks)


async def _check(name: str, look: Callable[[], Awaitable[None]]) -> ReadinessCheck:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await look()
    except TimeoutError:
        return ReadinessCheck(name=name, ok=False, detail=f"no answer within {CHECK_SECONDS} s")
    except ServiceError as error:
        return ReadinessCheck(name=name, ok=False, detail=error.detail)
    return ReadinessCheck(name=name, ok=True)

"""Much of the same, some of it under way at once: a cluster that is filled."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

AT_ONCE = 16


async def some_at_once(work: Callable[[int], Awaitable[Any]], numbers: Iterable[int]) -> None:
    """``work`` for each number, sixteen of them at any time."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def limited(number: int) -> None:
        async with limit:
            await work(number)

    await asyncio.gather(*(limited(number) for number in numbers))

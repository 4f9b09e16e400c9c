"""Waiting for one object by watch, against a real API server process."""

import asyncio
from pathlib import Path
from typing import Any

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import CONFIG_MAPS
from app.ports import ClusterAccess
from tests.sandbox.api_server import running_api


def is_ready(found: dict[str, Any] | None) -> bool:
    """Whether the test has said so."""
    return found is not None and found.get("data") == {"ready": "yes"}


async def test_a_wait_leaves_no_watch_behind(tmp_path: Path) -> None:
    """The watch is closed when its answer is there, not when the collector finds it: its connection ends with it."""
    async with running_api(tmp_path) as api, await KubeClient.connect(ClusterAccess(api.kubeconfig)) as kube:
        await kube.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}}, "default")
        waiting = asyncio.create_task(kube.wait_for(CONFIG_MAPS, "a", "default", is_ready, timeout_seconds=20))
        await asyncio.sleep(0.3)  # long enough for the watch to stand
        await kube.merge_patch(CONFIG_MAPS, "a", {"data": {"ready": "yes"}}, "default")
        assert is_ready(await waiting)
        left = [each for each in asyncio.get_running_loop()._asyncgens if each.ag_running or each.ag_frame]  # type: ignore[attr-defined]
        assert [each.__qualname__ for each in left if "watch" in each.__qualname__] == []

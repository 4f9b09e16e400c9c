"""One product that every row is played on, and which is whole again after each."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.kubernetes.resources import DEPLOYMENTS, PODS
from app.sandbox import supervisor
from app.sandbox.faults import set_faults
from tests.faults.rows import Fault
from tests.instances import NAME
from tests.product import Product
from tests.waiting import eventually

PATHS = {"backup": "backups", "stop": "stop", "start": "start", "restore": "restores"}


@dataclass(frozen=True)
class End:
    """How it came out, in the matrix's words."""

    ends: str
    code: str
    warnings: tuple[str, ...]
    cluster: str
    outstanding: bool
    everything: str
    """The job, or the refusal, as text."""

    @classmethod
    def of_row(cls, row: Fault) -> "End":
        """As the row has it."""
        return cls(row.ends, row.code, row.warnings, row.cluster, row.outstanding, row.says)


@dataclass
class Stage:
    """The product, and the settings its service runs with now."""

    product: Product
    settings: Mapping[str, str] = field(default_factory=dict)

    async def play(self, row: Fault) -> End:
        """Switch the fault on, ask for the operation, see how it ends, and switch it off."""
        if row.settings != self.settings:
            await self.product.service.serve_with(**row.settings)
            self.settings = row.settings
        directory = supervisor.cluster_directory(self.product.state_dir, NAME)
        async with row.around(self.product) if row.around else contextlib.nullcontext():
            set_faults(directory, **row.switches)
            try:
                ended = await self._run(row)
            finally:
                set_faults(directory)
        cluster = self.product.state()
        outstanding = (await self._instance())["restore_outstanding"] is not None
        problem = ended.get("error") or {}
        warnings = tuple(warning["code"] for warning in ended.get("warnings") or ())
        return End(ended["status"], problem.get("code", ""), warnings, cluster, outstanding, json.dumps(ended))

    async def _run(self, row: Fault) -> dict[str, Any]:
        response = await self.product.service.post(f"/instances/{NAME}/{PATHS[row.operation]}", dict(row.options))
        if response.status_code != 202:
            return {"status": "refused", "error": response.json()}
        return await self.product.service.ended(response.json()["id"])

    async def heal(self) -> None:
        """The cluster on, and at rest: no job, kecs-server up, the stack asleep, nothing due."""
        if self.product.state() != "running":
            await supervisor.power_on(self.product.state_dir, NAME)
            await self.product.start()
        await eventually(self._at_rest)

    async def _at_rest(self) -> bool:
        instance = await self._instance()
        if instance["active_job"] or instance["restore_outstanding"]:
            return False
        async with self.product.kube() as kube:
            pods = (await kube.list(PODS, "velero")).items
            server = await kube.get(DEPLOYMENTS, "kecs-server", "kecs-system")
        return not pods and bool((server.get("status") or {}).get("readyReplicas"))

    async def _instance(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.product.service.client.get(f"/instances/{NAME}")).json()
        return found

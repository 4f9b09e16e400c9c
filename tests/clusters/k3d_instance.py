"""An instance behind the playing ``k3d`` and ``docker``, which switch a sandbox cluster: the driver ``k3d`` whole."""

import asyncio
import json
from pathlib import Path
from uuid import uuid4

from app.sandbox import supervisor
from tests.clusters.k3d_machine import K3dMachine, container
from tests.instances import NAME, SandboxInstance
from tests.service import CONFIGURED

CLUSTER = f"kecs-{NAME}"
#: Of what the real programs take; a power-on of ten seconds then takes one.
PACE = 0.1


class K3dInstance(SandboxInstance):
    """A sandbox cluster that the service knows as k3d's."""

    serve = CONFIGURED

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir)
        directory = state_dir / "machine"
        directory.mkdir()
        self.machine = K3dMachine(directory)
        self.machine.change(pace=PACE, sandbox=str(state_dir))
        programs = self.machine.settings
        self.settings = {
            "DRIVER": "k3d",
            "K3D__PROGRAM": programs.program,
            "K3D__DOCKER_PROGRAM": programs.docker_program,
        }

    async def create(self) -> None:
        """Two containers, as KECS has k3d make them."""
        await super().create()
        self._put_containers()

    async def recreate(self) -> None:
        """As KECS does it: other containers of the same names."""
        await super().recreate()
        self._put_containers()

    async def power_on(self) -> None:
        """By k3d."""
        await self.run_k3d("cluster", "start", CLUSTER)

    async def run_k3d(self, *arguments: str) -> None:
        """A command of k3d's, by somebody's hand."""
        await self._run(self.machine.settings.program, *arguments)

    async def power_off(self) -> None:
        """By Docker."""
        await self._run(self.machine.settings.docker_program, "kill", *self.machine.world["containers"])

    def _put_containers(self) -> None:
        data = str(supervisor.host_directory(self.state_dir, NAME))
        api = supervisor.kubeconfig(self.state_dir, NAME)["clusters"][0]["cluster"]["server"]
        server = container(f"k3d-{CLUSTER}-server-0", "server", "running", CLUSTER)
        balancer = container(f"k3d-{CLUSTER}-serverlb", "loadbalancer", "running", CLUSTER)
        server |= {"id": uuid4().hex * 2, "binds": [data], "address": ""}
        balancer |= {"id": uuid4().hex * 2, "port": int(api.rpartition(":")[2])}
        self.machine.change(containers={node["name"]: node for node in (server, balancer)})

    @staticmethod
    async def _run(*command: str) -> None:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        assert await process.wait() == 0, json.dumps(command)

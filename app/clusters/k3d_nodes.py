"""What the containers of one k3d cluster amount to: its state, its mounts, where its API can be reached."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.clusters.k3d_documents import Container
from app.ports import ClusterStatus, Mount, PowerState

#: Where an API server listens, in the server's container and in the load balancer's.
API_PORT = 6443
#: Containers of these roles make a cluster. A helper that a killed k3d leaves behind has another or none.
ROLES = ("server", "agent", "loadbalancer")
_OFF = frozenset({"exited", "created"})
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - read, not bound


@dataclass(frozen=True)
class Nodes:
    """The containers of one cluster; servers are the first to lose their power."""

    servers: list[Container]
    agents: list[Container]
    load_balancers: list[Container]

    @property
    def all(self) -> list[Container]:
        """Every container, servers first."""
        return [*self.servers, *self.agents, *self.load_balancers]

    @property
    def with_power(self) -> list[str]:
        """Names of those that are not off; a paused one and one that restarts for ever have power, too."""
        return [node.name for node in self.all if node.state.status not in _OFF]

    def status(self) -> ClusterStatus:
        """Running or stopped is what all of them are; anything else is half off."""
        statuses = {node.state.status for node in self.all}
        if self.servers and statuses == {"running"}:
            return ClusterStatus(PowerState.RUNNING, self._off_epoch())
        if self.servers and statuses <= _OFF:
            return ClusterStatus(PowerState.STOPPED, self._off_epoch())
        return ClusterStatus(PowerState.HALF_OFF, self._off_epoch(), self.described())

    def described(self) -> str:
        """Every container's status, for people."""
        found = [f"{node.name} is {node.state.status}" for node in self.all]
        return ", ".join(found if self.servers else ["there is no server container", *found])

    def mounts(self) -> list[Mount]:
        """The host directories that every node sees, since a pod may come to any."""
        seen = [
            {(mount.destination, mount.source) for mount in node.mounts if mount.type == "bind"}
            for node in [*self.servers, *self.agents]
        ]
        return [Mount(*pair) for pair in sorted(set.intersection(*seen))] if seen else []

    def own_addresses(self) -> list[str]:
        """Of the servers, on the cluster's network."""
        return [server.address for server in self.servers if server.address]

    def published_urls(self) -> Iterator[str]:
        """Where the API is published on this machine, by the load balancer or else by a server."""
        for node in [*self.load_balancers, *self.servers]:
            if port := node.published(API_PORT):
                host = "127.0.0.1" if port.host_ip in _EVERYWHERE else port.host_ip
                yield f"https://{f'[{host}]' if ':' in host else host}:{port.host_port}"

    def _off_epoch(self) -> str | None:
        """Which containers the servers are, and when each last began and ended."""
        times = [f"{server.id[:12]} {server.state.started_at} {server.state.finished_at}" for server in self.servers]
        return ", ".join(times) or None

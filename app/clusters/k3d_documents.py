"""What the k3d and docker command lines print, read in one place; members not named here are ignored.

Shapes as recorded from k3d 5.8.3 and Docker 20.10.
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_pascal

from app.documents import UnreadableDocument, read_yaml

#: k3d writes its INFO lines to standard output, always in colours.
_LOG_LINE = re.compile(rb"^\x1b\[\d+m(?:TRAC|DEBU|INFO|WARN|ERRO|FATA).*\n?", re.MULTILINE)
Document = TypeVar("Document")


class UnreadableOutput(Exception):
    """A program printed something else than expected; says where, and quotes nothing."""


def _empty_for_null(value: Any) -> Any:
    return {} if value is None else value


class ListedNode(BaseModel):
    """A node of ``k3d cluster list``; the helper container that a killed k3d leaves behind has no role."""

    name: str
    role: str = ""


class ListedCluster(BaseModel):
    """A cluster of ``k3d cluster list``."""

    name: str
    nodes: list[ListedNode] | None = None


class _Inspected(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal)


class ContainerState(_Inspected):
    """``Status`` alone tells: ``Running`` is true for a paused and for a restarting container, too."""

    status: str
    started_at: str = ""
    finished_at: str = ""


class PublishedPort(_Inspected):
    """Where a container's port can be reached on the host."""

    host_ip: str = ""
    host_port: str = ""


class ContainerMount(_Inspected):
    """A volume or a directory of the host."""

    type: str
    source: str = ""
    destination: str = ""


class ContainerNetwork(_Inspected):
    """A network that the container is on; a stopped one has no address."""

    address: str = Field(default="", alias="IPAddress")


class NetworkSettings(_Inspected):
    """Ports and networks of a container."""

    ports: Annotated[dict[str, list[PublishedPort] | None], BeforeValidator(_empty_for_null)] = {}
    networks: Annotated[dict[str, ContainerNetwork], BeforeValidator(_empty_for_null)] = {}


class Container(_Inspected):
    """What ``docker inspect`` says of a node."""

    id: str
    name: Annotated[str, AfterValidator(lambda name: name.removeprefix("/"))]
    state: ContainerState
    mounts: list[ContainerMount] = []
    network_settings: NetworkSettings = NetworkSettings()

    @property
    def address(self) -> str:
        """Its own address on the cluster's network; empty while it does not run."""
        return next((network.address for network in self.network_settings.networks.values() if network.address), "")

    def published(self, port: int) -> PublishedPort | None:
        """Where a TCP port of it is published, IPv4 first."""
        found = [entry for entry in self.network_settings.ports.get(f"{port}/tcp") or [] if entry.host_port]
        return min(found, key=lambda entry: ":" in entry.host_ip, default=None)


class Daemon(_Inspected):
    """Docker's daemon."""

    version: str


class DockerVersions(_Inspected):
    """What ``docker version`` says; the client's own part does not matter."""

    server: Daemon


_DOCKER_VERSION = TypeAdapter(DockerVersions)
_K3D_VERSION = TypeAdapter(dict[Literal["k3d", "k3s"], str])
_CLUSTERS = TypeAdapter(list[ListedCluster])
_CONTAINERS = TypeAdapter(list[Container])


def listed_clusters(stdout: bytes) -> list[ListedCluster]:
    """Of ``k3d cluster list -o json``; raises ``UnreadableOutput``."""
    return _read(_CLUSTERS, _LOG_LINE.sub(b"", stdout))


def inspected_containers(stdout: bytes) -> list[Container]:
    """Of ``docker inspect``; raises ``UnreadableOutput``."""
    return _read(_CONTAINERS, stdout)


def docker_version(stdout: bytes) -> str:
    """Of ``docker version --format '{{json .}}'``: the daemon's, which is what runs the clusters."""
    return _read(_DOCKER_VERSION, stdout).server.version


def k3d_version(stdout: bytes) -> str:
    """Of ``k3d version -o json``, with its ``v``."""
    return _read(_K3D_VERSION, _LOG_LINE.sub(b"", stdout))["k3d"]


def kubeconfig(stdout: bytes) -> dict[str, Any]:
    """Of ``k3d kubeconfig get``: a document with one cluster; raises ``UnreadableOutput``."""
    try:
        document = read_yaml(_LOG_LINE.sub(b"", stdout))
    except UnreadableDocument:
        document = None  # what the parser says would quote keys
    match document:
        case {"clusters": [{"cluster": {}}]}:
            return dict(document)
    raise UnreadableOutput("no kubeconfig of one cluster")


def _read(kind: TypeAdapter[Document], stdout: bytes) -> Document:
    try:
        return kind.validate_json(stdout)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        raise UnreadableOutput(f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}") from None

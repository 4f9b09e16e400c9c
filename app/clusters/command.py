"""The power driver of configured commands; what each prints is the contract in docs/drivers.md."""

import asyncio
import shutil
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, StrictStr, ValidationError

from app.clusters import programs
from app.documents import UnreadableDocument, read_yaml
from app.errors import ClusterCommandError
from app.names import INSTANCE_NAME, check_instance_name
from app.ports import ClusterAccess, ClusterStatus, Mount, PowerState, ToolCheck
from app.settings import CommandSettings

VERBS = ("list", "state", "start", "stop", "access", "mounts")
_CONTRACT = "docs/drivers.md says what it has to print."
AbsolutePath = Annotated[StrictStr, Field(pattern="^/")]


class _StateDocument(BaseModel):
    state: PowerState
    off_epoch: Annotated[StrictStr, Field(max_length=1000)] | None = None
    detail: StrictStr = ""

    def status(self) -> ClusterStatus:
        return ClusterStatus(self.state, self.off_epoch, self.detail)


class _ListDocument(BaseModel):
    clusters: dict[str, _StateDocument]


class _AccessDocument(BaseModel):
    kubeconfig: StrictStr | dict[str, Any]


class _MountDocument(BaseModel):
    node_path: AbsolutePath
    host_path: AbsolutePath


class _MountsDocument(BaseModel):
    mounts: list[_MountDocument] | None


Document = TypeVar("Document", bound=BaseModel)


class CommandClusters:
    """Clusters that six configured commands switch and describe."""

    def __init__(self, settings: CommandSettings) -> None:
        self._settings = settings

    async def state(self, instance: str) -> ClusterStatus:
        """State of one cluster; ``UNKNOWN``, with the reason, when the command fails."""
        try:
            return (await self._ask(_StateDocument, "state", instance)).status()
        except ClusterCommandError as error:
            return ClusterStatus(PowerState.UNKNOWN, detail=error.detail)

    async def start(self, instance: str) -> None:
        """Power on."""
        await self._run("start", instance)

    async def stop(self, instance: str, *, drain: bool) -> None:
        """Power off; whether to drain first is said by ``{drain}``."""
        await self._run("stop", instance, drain=drain)

    async def access(self, instance: str) -> ClusterAccess:
        """The kubeconfig the command prints, as a document or as its text."""
        kubeconfig = (await self._ask(_AccessDocument, "access", instance)).kubeconfig
        if isinstance(kubeconfig, str):
            kubeconfig = await asyncio.to_thread(_parsed_kubeconfig, kubeconfig)
        return ClusterAccess(kubeconfig)

    async def mounts(self, instance: str) -> list[Mount] | None:
        """The host directories the command names."""
        mounts = (await self._ask(_MountsDocument, "mounts", instance)).mounts
        return None if mounts is None else [Mount(mount.node_path, mount.host_path) for mount in mounts]

    async def import_images(self, _instance: str, _references: Sequence[str]) -> Sequence[str]:
        """None: there is no command for it, so the nodes pull what they lack."""
        return []

    async def tools(self) -> Sequence[ToolCheck]:
        """Whether the programs of all commands are there; what they do is only seen when they run."""
        names = sorted({getattr(self._settings, verb)[0] for verb in VERBS})
        found = {name: await asyncio.to_thread(shutil.which, name) for name in names}
        return [
            ToolCheck(name, ok=True, detail=path)
            if path
            else ToolCheck(
                name, ok=False, detail="there is no such program", remedy="Install it, or correct the command."
            )
            for name, path in found.items()
        ]

    async def list(self) -> dict[str, ClusterStatus]:
        """Every cluster the command names, but for names that no instance can have."""
        found = (await self._ask(_ListDocument, "list")).clusters
        return {name: document.status() for name, document in found.items() if INSTANCE_NAME.match(name)}

    async def _ask(self, kind: type[Document], verb: str, instance: str | None = None) -> Document:
        """Run a verb and read what it prints; nothing of that is quoted, as it may hold keys."""
        stdout = await self._run(verb, instance)
        try:
            return kind.model_validate_json(stdout)
        except ValidationError as error:
            first = error.errors(include_input=False, include_context=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "its standard output"
            raise ClusterCommandError(
                f"the command for {verb!r} printed something else than its contract says: {where}: {first['msg']}",
                remedy=_CONTRACT,
            ) from None

    async def _run(self, verb: str, instance: str | None = None, *, drain: bool = False) -> bytes:
        arguments: list[str] = getattr(self._settings, verb)
        placeholders = {"{drain}": str(drain).lower()}
        if instance is not None:
            placeholders["{name}"] = check_instance_name(instance)
        for placeholder, value in placeholders.items():
            arguments = [argument.replace(placeholder, value) for argument in arguments]
        finished = await programs.run_well(
            arguments,
            getattr(self._settings, f"{verb}_seconds"),
            remedy=f"The command is the setting KECS_STATE_COMMAND__{verb.upper()}.",
        )
        return finished.stdout


def _parsed_kubeconfig(text: str) -> dict[str, Any]:
    try:
        document = read_yaml(text)
    except UnreadableDocument:
        document = None  # what the parser says would quote keys
    if not isinstance(document, dict):
        raise ClusterCommandError("the command for 'access' printed a kubeconfig that is no YAML", remedy=_CONTRACT)
    return document

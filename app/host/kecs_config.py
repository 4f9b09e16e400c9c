"""KECS's own ``config.yaml`` of an instance, which KECS rewrites whole: read only, in its older and newer forms.

Source: KECS's host package ``instance``, its ``Config`` (2025-12) and the older key ``traefik``.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from app.documents import UnreadableDocument, read_yaml
from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory

Port = Annotated[int, Field(ge=1, le=65535)]


class KecsConfig(BaseModel):
    """What this service uses of it; everything else is KECS's business."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")

    api_port: Port | None = None
    """Where the ECS API is published on this machine."""
    admin_port: Port | None = None

    @property
    def ports(self) -> dict[str, int]:
        """The ports KECS has published, by what they are for."""
        found = {"ECS API": self.api_port, "admin API": self.admin_port}
        return {purpose: port for purpose, port in found.items() if port is not None}


def load_kecs_config(directory: InstanceDirectory) -> KecsConfig | None:
    """None where KECS has written none; raises ``HostDirectoryError`` for one that cannot be read."""
    path = directory.path / "config.yaml"
    content = directory.read(path)
    if content is None:
        return None
    try:
        return KecsConfig.model_validate(read_yaml(content))
    except (UnreadableDocument, ValidationError) as error:
        if isinstance(error, ValidationError):
            first = error.errors(include_input=False)[0]
            why = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        else:
            why = str(error)
        raise HostDirectoryError(
            f"{path} cannot be read: {why}",
            remedy="Mend the file; KECS writes it anew when the instance is created.",
            path=str(path),
        ) from None

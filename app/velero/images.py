"""The container images of the stack: which, how to override them, and what is known to be wrong with some."""

from dataclasses import dataclass
from typing import Literal

from app.settings import ImageSettings

Role = Literal["velero", "velero_plugin", "minio"]


@dataclass(frozen=True)
class Image:
    """One image; ``setting`` is the environment variable that names another reference."""

    role: Role
    reference: str
    overridden: bool
    setting: str


def images(settings: ImageSettings) -> list[Image]:
    """Every image the stack uses."""
    defaults = ImageSettings()
    roles: tuple[Role, ...] = ("velero", "velero_plugin", "minio")
    return [
        Image(
            role=role,
            reference=getattr(settings, role),
            overridden=getattr(settings, role) != getattr(defaults, role),
            setting=f"KECS_STATE_STACK__IMAGES__{role.upper()}",
        )
        for role in roles
    ]


def normal_reference(reference: str) -> str:
    """A reference with registry and tag written out, as nodes list their images."""
    name, at, digest = reference.partition("@")
    registry, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in registry and ":" not in registry and registry != "localhost":
        name = f"docker.io/{name}"
    if not at and ":" not in name.rpartition("/")[2]:
        name += ":latest"
    return f"{name}{at}{digest}"


def gone_from_registry(reference: str) -> str:
    """Why an image cannot be pulled any more, or an empty text."""
    if normal_reference(reference).startswith("docker.io/minio/minio"):
        return "MinIO's images were removed from Docker Hub in September 2026, every tag and digest"
    return ""


def known_defect(reference: str) -> str:
    """What is known to go wrong with an image, or an empty text."""
    if "velero-plugin-for-aws:v1.14.2" in reference:
        return "this version stores corrupt objects on S3-compatible stores (velero issue 9951); use v1.14.3"
    return ""

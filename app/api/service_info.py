"""The service about itself: alive, ready, its version, the images it uses."""

import platform
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from app.api.dependencies import Running
from app.api.problems import declared
from app.api.readiness import Readiness, readiness_of
from app.errors import ClusterCommandError, ClusterStateUnknown, InstanceNotFound, InvalidInstanceName
from app.velero.images import images
from app.workflows.requests import InstanceDiagnosis

router = APIRouter(tags=["service"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "alive"


class Version(BaseModel):
    """What runs here, and what it installs."""

    service: str
    api: str = Field(description="Version of the API described by /openapi.json.")
    python: str
    driver: str = Field(description="The power driver; `sandbox` means that no cluster here is real.")
    velero: str = Field(description="Pinned image of Velero.")
    velero_plugin: str = Field(description="Pinned image of Velero's S3 plugin.")
    minio: str = Field(description="Pinned image of the object store.")


class Diagnosis(BaseModel):
    """What may go wrong, on this machine and with each instance that has a cluster."""

    service: Readiness
    instances: list[InstanceDiagnosis] = Field(description="Empty while the power driver does not answer.")


class ImageView(BaseModel):
    """One container image a cluster must be able to get."""

    role: str
    reference: str
    overridden: bool = Field(description="Whether a setting replaced the pinned image.")


class ImageList(BaseModel):
    """All images, for mirrors and machines without a network."""

    images: list[ImageView]


@router.get("/livez")
async def get_liveness() -> Alive:
    """The process answers; says nothing of what it needs."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready; the checks say why"}})
async def get_readiness(services: Running, response: Response) -> Readiness:
    """Whether operations can be accepted, check by check."""
    readiness = await readiness_of(services)
    if not readiness.ready:
        response.status_code = 503
    return readiness


@router.get("/health", responses={503: {"model": Readiness, "description": "Not ready; the checks say why"}})
async def get_health(services: Running, response: Response) -> Readiness:
    """The same as /readyz, under the name KECS itself uses."""
    return await get_readiness(services, response)


@router.get(
    "/doctor", responses=declared(InstanceNotFound, InvalidInstanceName, ClusterCommandError, ClusterStateUnknown)
)
async def get_diagnosis(
    services: Running, instance: Annotated[str | None, Query(description="Only this instance.")] = None
) -> Diagnosis:
    """What may go wrong on this machine and with each instance, with remedies. Changes nothing, wakes nothing."""
    readiness = await readiness_of(services)
    driver = next(check for check in readiness.checks if check.name == "power-driver")
    instances = await services.operations.diagnose(instance) if driver.ok else []
    return Diagnosis(service=readiness, instances=instances)


@router.get("/version")
async def get_version(services: Running) -> Version:
    """Versions of the service and of what it installs in clusters."""
    pinned = services.settings.stack.images
    return Version(
        service=version("kecs-state"),
        api=version("kecs-state"),
        python=platform.python_version(),
        driver=services.settings.driver,
        velero=pinned.velero,
        velero_plugin=pinned.velero_plugin,
        minio=pinned.minio,
    )


@router.get("/images")
async def list_images(services: Running) -> ImageList:
    """Every container image the service makes a cluster use."""
    found = images(services.settings.stack.images)
    return ImageList(
        images=[ImageView(role=image.role, reference=image.reference, overridden=image.overridden) for image in found]
    )

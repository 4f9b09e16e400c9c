"""Images on their way to a machine without a network."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import command
from tests.clusters.k3d_machine import K3dMachine

OTHER_MINIO = "mirror.example/minio:1"


@pytest.fixture
def machine(tmp_path: Path) -> K3dMachine:
    """A machine with Docker."""
    return K3dMachine(tmp_path)


@pytest.fixture
def variables(machine: K3dMachine) -> dict[str, str]:
    """Of the commands: the playing Docker, and one image from a mirror."""
    return {
        "KECS_STATE_K3D__DOCKER_PROGRAM": machine.settings.docker_program,
        "KECS_STATE_STACK__IMAGES__MINIO": OTHER_MINIO,
    }


async def test_the_list_names_settings_and_mirrors(variables: dict[str, str]) -> None:
    """What a mirror must have, as it is overridden here."""
    listed = json.loads((await command("", "images", "list", "--json", **variables)).out)
    assert {image["reference"] for image in listed if image["role"] == "minio"} == {OTHER_MINIO}
    assert "KECS_STATE_STACK__IMAGES__VELERO" in (await command("", "images", "list", **variables)).out


async def test_what_is_saved_on_one_machine_is_loaded_on_another(
    machine: K3dMachine, variables: dict[str, str], tmp_path: Path
) -> None:
    """All three images, pulled first."""
    archive = tmp_path / "images.tar"
    saved = await command("", "images", "save", str(archive), **variables)
    assert (saved.code, "images load images.tar" in saved.out) == (0, True)
    machine.change(images=[])
    loaded = await command("", "images", "load", str(archive), **variables)
    assert loaded.code == 0
    assert len(machine.world["images"]) == 3
    assert OTHER_MINIO in machine.world["images"]


async def test_a_missing_archive_is_said_without_asking_docker(
    machine: K3dMachine, variables: dict[str, str], tmp_path: Path
) -> None:
    """With the way to make one."""
    ended = await command("", "images", "load", str(tmp_path / "none.tar"), **variables)
    assert (ended.code, "images save" in ended.err) == (1, True)
    assert machine.calls("docker") == []


async def test_docker_failing_is_a_failure(variables: dict[str, str], tmp_path: Path) -> None:
    """Its exit code is not lost."""
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no space left >&2\nexit 1\n")
    broken.chmod(0o700)
    ended = await command(
        "", "images", "save", str(tmp_path / "a"), **variables | {"KECS_STATE_K3D__DOCKER_PROGRAM": str(broken)}
    )
    assert (ended.code, "no space left" in ended.err, "ended with 1" in ended.err) == (1, True, True)

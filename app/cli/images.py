"""Images of the stack on this machine: which they are, and how they reach one without a network.

These commands run Docker's client themselves, since the machine that saves may have no service at all.
"""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.errors import CommandError
from app.cli.options import AsJson
from app.cli.printing import print_json, print_table
from app.cli.read_settings import read_settings

if TYPE_CHECKING:
    from app.velero.images import Image

images_app = typer.Typer(help="List Velero's and MinIO's images, or carry them to a machine without a network.")
Archive = Annotated[Path, typer.Argument(metavar="FILE", help="The archive.", show_default=False)]


@images_app.command("list")
def list_images(*, as_json: AsJson = False) -> None:
    """Show every image, and the variable that names another one."""
    found = _images()
    if as_json:
        print_json([{"role": i.role, "reference": i.reference, "setting": i.setting} for i in found])
    else:
        print_table(("ROLE", "IMAGE", "SETTING"), [(i.role, i.reference, i.setting) for i in found])


@images_app.command()
def save(archive: Archive) -> None:
    """Pull every image and write all of them into one archive."""
    references = [image.reference for image in _images()]
    for reference in references:
        _docker("pull", reference)
    _docker("save", "--output", str(archive), *references)
    typer.echo(f"Carry {archive} to the other machine, and there: kecs-state images load {archive.name}")


@images_app.command()
def load(archive: Archive) -> None:
    """Give Docker the images of an archive; the next backup or restore brings them into its cluster."""
    if not archive.is_file():
        raise CommandError("No such archive", str(archive), remedy="Make one with: kecs-state images save FILE")
    _docker("load", "--input", str(archive))


def _images() -> "list[Image]":
    from app.velero.images import images

    return images(read_settings().stack.images)


def _docker(*arguments: str) -> None:
    """Docker's own progress and errors are shown as they come."""
    command = [read_settings().k3d.docker_program, *arguments]
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise CommandError("Docker cannot be run", f"{command[0]}: {error.strerror or error}") from None
    if code != 0:
        raise CommandError("Docker failed", f"{' '.join(command)} ended with {code}", remedy="See what it said above.")

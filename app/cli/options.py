"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.completing import complete_instances


class Level(StrEnum):
    """How much of a backup is looked at."""

    QUICK = "quick"
    DEEP = "deep"


class OnPartial(StrEnum):
    """What a backup means that Velero ends as PartiallyFailed."""

    FAIL = "fail"
    ACCEPT = "accept"


Url = Annotated[str, typer.Option("--url", metavar="URL", envvar="KECS_STATE_URL", help="Address of the service.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of the instance.", show_default=False, autocompletion=complete_instances),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0, help="Look this long, then leave the job running (exit 4)."),
]
JobTimeout = Annotated[
    float | None, typer.Option("--job-timeout", metavar="SECONDS", min=1, help="Deadline of the job itself.")
]
CallbackUrl = Annotated[
    str | None, typer.Option("--callback-url", metavar="URL", help="Tell this address of the job.", show_default=False)
]
Detach = Annotated[bool, typer.Option("--detach", help="Return as soon as the job is accepted.")]
UseVelero = Annotated[
    bool | None,
    typer.Option(
        "--use-velero-backup/--no-velero-backup",
        help="Whether Velero is used; else the instance's policy decides, then the service's setting.",
        show_default=False,
    ),
]
Gate = Annotated[
    Level | None,
    typer.Option("--validate", help="deep: prove the backup. quick: names and sizes only.", show_default=False),
]
Partial = Annotated[
    OnPartial | None,
    typer.Option("--on-partial", help="Whether a partially failed backup will do.", show_default=False),
]
Volumes = Annotated[
    bool | None,
    typer.Option(
        "--volumes/--no-volumes",
        help="Save the volumes of running pods; else the instance's policy decides, then the service's setting.",
        show_default=False,
    ),
]
Sandbox = Annotated[bool, typer.Option("--sandbox", help="Drive the embedded sandbox instead of k3d.")]
StateDir = Annotated[Path | None, typer.Option("--state-dir", help="With --sandbox: where everything is kept.")]
Home = Annotated[Path | None, typer.Option("--home", help="KECS's directory, normally ~/.kecs.")]
_REPEATABLE: Any = {"default_factory": list, "show_default": False}
Labels = Annotated[list[str], typer.Option("--label", metavar="KEY=VALUE", help="Kept with the job.", **_REPEATABLE)]
Namespaces = Annotated[
    list[str], typer.Option("--namespace", "-n", metavar="NAME", help="Only this namespace; repeatable.", **_REPEATABLE)
]
ExcludedNamespaces = Annotated[
    list[str],
    typer.Option("--exclude-namespace", metavar="NAME", help="Not this namespace.", **_REPEATABLE),
]
Resources = Annotated[
    list[str],
    typer.Option(
        "--resource", metavar="NAME", help="Only this resource, as plural or plural.group; repeatable.", **_REPEATABLE
    ),
]
Selector = Annotated[
    str, typer.Option("--selector", "-l", metavar="KEY=VALUE,...", help="Only objects with these labels.")
]

"""Files that make an init system run the service: a systemd user unit, or a launchd agent.

Sources: systemd.service(5), systemd.exec(5), systemd.syntax(7) and launchd.plist(5).
"""

import os
import plistlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

#: By this a file is known as ours: one without it is never replaced or removed.
MARKER = "Made by `kecs-state service install`"
LABEL = "dev.kecs.kecs-state"
STOP_SECONDS = 15
RESTART_SECONDS = 5


class InitSystem(StrEnum):
    """What starts a user's services."""

    SYSTEMD = "systemd"
    LAUNCHD = "launchd"


@dataclass(frozen=True)
class Unit:
    """Where the file lies, and what is said to the init system about it."""

    path: Path
    #: The commands that start and end the service, for a person to type.
    begin: str
    end: str
    #: Commands that only ask; their first word is the program that may be missing.
    questions: Sequence[Sequence[str]]


def unit(system: InitSystem) -> Unit:
    """The unit of this user."""
    if system is InitSystem.SYSTEMD:
        configuration = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return Unit(
            path=configuration / "systemd" / "user" / "kecs-state.service",
            begin="systemctl --user daemon-reload && systemctl --user enable --now kecs-state",
            end="systemctl --user disable --now kecs-state",
            questions=[["systemctl", "--user", question, "kecs-state"] for question in ("is-active", "is-enabled")],
        )
    path = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    domain = f"gui/{os.getuid()}"
    return Unit(
        path=path,
        begin=f"launchctl bootstrap {domain} '{path}'",
        end=f"launchctl bootout {domain}/{LABEL}",
        questions=[["launchctl", "print", f"{domain}/{LABEL}"]],
    )


def content(system: InitSystem, command: Sequence[str], variables: Mapping[str, str]) -> bytes:
    """The file that runs ``command`` with ``variables``."""
    if system is InitSystem.SYSTEMD:
        return _systemd(command, variables).encode()
    return _launchd(command, variables)


def _systemd(command: Sequence[str], variables: Mapping[str, str]) -> str:
    # Only systemd's own process is told to end: it ends what it has begun itself. A wrong setting (exit code 2) is not
    # tried again.
    lines = [
        f"# {MARKER}, which replaces it; `kecs-state service uninstall` removes it.",
        "[Unit]",
        "Description=kecs-state, stops and starts KECS instances without losing their state",
        "",
        "[Service]",
        "Type=exec",
        "ExecStart=" + " ".join(_quoted(argument).replace("$", "$$") for argument in command),
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()),
        "Restart=on-failure",
        f"RestartSec={RESTART_SECONDS}",
        "RestartPreventExitStatus=2",
        "KillMode=mixed",
        f"TimeoutStopSec={STOP_SECONDS}",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """One word of a unit file: in quotes, with C's escapes, and no specifier in it."""
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("%", "%%")):
        text = text.replace(character, escaped)
    return f'"{text}"'


def _launchd(command: Sequence[str], variables: Mapping[str, str]) -> bytes:
    log = str(Path.home() / "Library" / "Logs" / "kecs-state.log")
    document = plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": list(command),
            "EnvironmentVariables": dict(variables),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": RESTART_SECONDS,
            "ExitTimeOut": STOP_SECONDS,
            "Umask": 0o077,
            "StandardOutPath": log,
            "StandardErrorPath": log,
        },
        sort_keys=False,
    )
    return document.replace(b"<plist", f"<!-- {MARKER} -->\n<plist".encode(), 1)

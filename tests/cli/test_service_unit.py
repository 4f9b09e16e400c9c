"""The unit that runs the service: read back as its init system would, and never in the place of somebody else's."""

import os
import plistlib
import shlex
import shutil
import stat
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from app.cli.units import InitSystem, content
from tests.cli.commands import Ended, command

ANALYZE = shutil.which("systemd-analyze")
COMMAND = ["/opt/with space/kecs-state", "serve"]
VARIABLES = {"PATH": "/usr/bin", "KECS_STATE_DATABASE_URL": "postgresql://u:50%\"\\'s$HOME@db/x\ny"}


def _ini(unit: bytes) -> RawConfigParser:
    """A unit file; of repeated keys the last one counts, so variables are looked for by themselves."""
    parser = RawConfigParser(strict=False, delimiters=["="], comment_prefixes=["#"])
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit.decode())
    return parser


def _unescaped(value: str) -> str:
    """A quoted word as systemd.syntax(7) has it: C's escapes, and %% for a percent sign."""
    assert value[0] == value[-1] == '"'
    return value[1:-1].replace("%%", "%").encode().decode("unicode_escape")


def test_the_systemd_unit_runs_the_program_and_begins_it_again() -> None:
    """After a crash, not after a wrong setting; with each login."""
    unit = _ini(content(InitSystem.SYSTEMD, COMMAND, VARIABLES))
    assert shlex.split(unit["Service"]["ExecStart"]) == COMMAND
    assert (unit["Service"]["Restart"], unit["Service"]["RestartPreventExitStatus"]) == ("on-failure", "2")
    assert unit["Install"]["WantedBy"] == "default.target"


def test_the_systemd_unit_keeps_every_character_of_a_variable() -> None:
    """Quotes, specifiers and new lines of a value cannot become directives."""
    unit = content(InitSystem.SYSTEMD, COMMAND, VARIABLES).decode()
    words = [line.removeprefix("Environment=") for line in unit.splitlines() if line.startswith("Environment=")]
    assert [_unescaped(word) for word in words] == [f"{name}={value}" for name, value in VARIABLES.items()]


def test_nothing_is_expanded_in_the_command() -> None:
    """systemd would put variables in for a dollar sign and its own values for a percent sign."""
    unit = content(InitSystem.SYSTEMD, ["/home/a$b/50%/kecs-state"], {}).decode()
    assert 'ExecStart="/home/a$$b/50%%/kecs-state"' in unit


def test_the_launchd_agent_says_the_same() -> None:
    """A property list with a comment by which it is known."""
    agent = plistlib.loads(content(InitSystem.LAUNCHD, COMMAND, VARIABLES))
    assert (agent["ProgramArguments"], agent["EnvironmentVariables"]) == (COMMAND, VARIABLES)
    assert (agent["RunAtLoad"], agent["KeepAlive"], agent["Umask"]) == (True, {"SuccessfulExit": False}, 0o077)


@pytest.mark.skipif(ANALYZE is None, reason="systemd itself reads the unit here, where it is")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """Unknown directives and bad values are told by its own tool."""
    path = tmp_path / "kecs-state.service"
    path.write_bytes(content(InitSystem.SYSTEMD, [sys.executable, "serve"], VARIABLES))
    verified = subprocess.run(
        [ANALYZE or "", "--user", "verify", path], env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (verified.returncode, verified.stderr) == (0, "")


class Home:
    """A home directory with an init system's program of its own that answers as it is told."""

    def __init__(self, directory: Path) -> None:
        self.unit = directory / ".config/systemd/user/kecs-state.service"
        self._variables = {"HOME": str(directory), "XDG_CONFIG_HOME": "", "PATH": str(directory / "bin")}
        (directory / "bin").mkdir()
        self._program = directory / "bin" / "systemctl"

    def answers(self, text: str) -> None:
        """The program is there and says this to everything."""
        self._program.write_text(f"#!/bin/sh\necho {text}\n")
        self._program.chmod(0o700)

    async def service(self, *arguments: str, **variables: str) -> Ended:
        """One ``kecs-state service`` command."""
        return await command("", "service", *arguments, "--init", "systemd", **self._variables | variables)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Empty, and without systemctl."""
    return Home(tmp_path)


async def test_install_writes_a_private_file_and_says_what_it_did_not_do(home: Home) -> None:
    """Nothing has been started, and where there is no systemctl nothing will be."""
    ended = await home.service("install", KECS_STATE_WORKFLOW__KEEP_LAST="9", KECS_STATE_TOKEN="mine")
    assert ended.code == 0, ended.err
    assert stat.S_IMODE(home.unit.stat().st_mode) == 0o600
    assert "KECS_STATE_WORKFLOW__KEEP_LAST=9" in home.unit.read_text()
    assert "KECS_STATE_TOKEN" not in home.unit.read_text()
    assert "Nothing has been started" in ended.out
    assert "systemctl is not on this machine" in ended.out
    assert "systemctl --user enable --now kecs-state" in ended.out


async def test_printing_writes_nothing(home: Home) -> None:
    """The file as it would be written."""
    printed = await home.service("install", "--print")
    assert not home.unit.exists()
    await home.service("install")
    assert home.unit.read_text() == printed.out


async def test_a_second_install_brings_the_unit_up_to_date(home: Home) -> None:
    """And one without a change says so; nothing is written with a setting that cannot be read."""
    await home.service("install")
    assert "as it should be" in (await home.service("install")).out
    await home.service("install", KECS_STATE_LOG_LEVEL="DEBUG")
    assert "KECS_STATE_LOG_LEVEL=DEBUG" in home.unit.read_text()
    assert (await home.service("install", KECS_STATE_SERVER__PORT="many")).code == 2
    assert "many" not in home.unit.read_text()


@pytest.mark.parametrize("what", ["install", "uninstall", "status"])
async def test_somebody_elses_unit_is_left_alone(home: Home, what: str) -> None:
    """Whatever is asked for, with the way out."""
    home.unit.parent.mkdir(parents=True)
    home.unit.write_text("[Service]\nExecStart=/bin/true\n")
    ended = await home.service(what)
    assert (ended.code, "Move it away" in ended.err) == (1, True)
    assert home.unit.read_text() == "[Service]\nExecStart=/bin/true\n"


async def test_a_link_is_somebody_elses_too(home: Home, tmp_path: Path) -> None:
    """Even one to a file that this command made."""
    await home.service("install")
    home.unit.rename(tmp_path / "elsewhere")
    home.unit.symlink_to(tmp_path / "elsewhere")
    assert (await home.service("install", KECS_STATE_LOG_LEVEL="DEBUG")).code == 1
    assert "DEBUG" not in (tmp_path / "elsewhere").read_text()


async def test_a_unit_in_use_is_not_removed(home: Home) -> None:
    """systemd would keep a service it has no file of; the command to type first is named."""
    await home.service("install")
    home.answers("active")
    ended = await home.service("uninstall")
    assert (ended.code, "systemctl --user disable --now kecs-state" in ended.err) == (1, True)
    assert home.unit.exists()
    home.answers("inactive")
    assert (await home.service("uninstall")).code == 0
    assert not home.unit.exists()
    assert "nothing to remove" in (await home.service("uninstall")).out


async def test_status_tells_the_file_and_the_init_systems_word(home: Home) -> None:
    """Exit code 1 without a unit."""
    assert (await home.service("status")).code == 1
    await home.service("install")
    assert "systemctl is not on this machine" in (await home.service("status")).out
    home.answers("active")
    ended = await home.service("status", KECS_STATE_LOG_LEVEL="DEBUG")
    assert (ended.code, "differs" in ended.out, "systemctl says: active, active" in ended.out) == (0, True, True)

"""The driver ``command`` through real processes: the contract of docs/drivers.md, kept and broken."""

import json
import sys
from pathlib import Path

import pytest

from app.clusters.command import CommandClusters
from app.errors import ClusterCommandError, InvalidInstanceName
from app.ports import ClusterStatus, Mount, PowerState
from app.settings import CommandSettings
from tests.clusters import power_program

PROGRAM = [sys.executable, "-I", "-S", power_program.__file__]
ON = {"state": "running", "off_epoch": "7"}


def settings(directory: Path, **other: object) -> CommandSettings:
    """All six commands of the program, but for those given otherwise."""
    program = [*PROGRAM, str(directory)]
    verbs = {verb: [*program, verb, "{name}"] for verb in ("state", "start", "access", "mounts")}
    verbs |= {"list": [*program, "list"], "stop": [*program, "stop", "{name}", "{drain}"]}
    return CommandSettings.model_validate(verbs | other)


def scripted(directory: Path, verb: str, script: str, **other: object) -> CommandClusters:
    """A driver one of whose commands is a shell script of the test's."""
    return CommandClusters(settings(directory, **{verb: ["/bin/sh", "-c", script, "{name}"]}, **other))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the program finds one running cluster, ``demo``."""
    (tmp_path / "demo.json").write_text(json.dumps(ON))
    return tmp_path


@pytest.fixture
def clusters(directory: Path) -> CommandClusters:
    """The driver over a program that keeps the contract."""
    return CommandClusters(settings(directory))


async def test_the_state_is_what_the_command_says(clusters: CommandClusters) -> None:
    """State, epoch and nothing made up."""
    assert await clusters.state("demo") == ClusterStatus(PowerState.RUNNING, "7")


async def test_an_unknown_name_is_absent(clusters: CommandClusters) -> None:
    """That is an answer and no failure."""
    assert (await clusters.state("nobody")).state is PowerState.ABSENT


@pytest.mark.parametrize("drain", [True, False])
async def test_a_stop_says_whether_to_drain_and_may_be_repeated(clusters: CommandClusters, *, drain: bool) -> None:
    """Once off, the second stop changes nothing, the epoch included."""
    await clusters.stop("demo", drain=drain)
    await clusters.stop("demo", drain=not drain)
    assert await clusters.state("demo") == ClusterStatus(PowerState.STOPPED, "8", f"drain={str(drain).lower()}")


async def test_a_start_powers_on(clusters: CommandClusters) -> None:
    """After a stop, with an epoch of its own."""
    await clusters.stop("demo", drain=False)
    await clusters.start("demo")
    assert await clusters.state("demo") == ClusterStatus(PowerState.RUNNING, "9", "drain=")


async def test_a_list_names_every_cluster_an_instance_can_have(clusters: CommandClusters, directory: Path) -> None:
    """Names that no request could name are left out."""
    (directory / "Not An Instance.json").write_text(json.dumps(ON))
    assert await clusters.list() == {"demo": ClusterStatus(PowerState.RUNNING, "7")}


async def test_mounts_and_access_are_read(clusters: CommandClusters, directory: Path) -> None:
    """Mounts as pairs, the kubeconfig as a document."""
    assert await clusters.mounts("demo") == [Mount("/node", str(directory))]
    assert (await clusters.access("demo")).kubeconfig == power_program.KUBECONFIG


@pytest.mark.parametrize(
    "text", ["kind: Config\ncurrent-context: demo\n", '{"kind":"Config","current-context":"demo"}']
)
async def test_a_kubeconfig_may_be_the_text_of_a_document(directory: Path, text: str) -> None:
    """YAML or JSON within a JSON string, as `kind get kubeconfig` and `jq` make it."""
    script = f"cat <<'END'\n{json.dumps({'kubeconfig': text})}\nEND"
    access = await scripted(directory, "access", script).access("demo")
    assert access.kubeconfig == {"kind": "Config", "current-context": "demo"}


async def test_mounts_that_nobody_knows_are_none(directory: Path) -> None:
    """Which is not the same as no mounts."""
    assert await scripted(directory, "mounts", """echo '{"mounts": null}'""").mounts("demo") is None


@pytest.mark.parametrize(
    "script",
    [
        "echo 'not json'", "true", "echo '{}'", """echo '{"state": "resting"}'""",
        """echo '{"state": "absent"}'; exit 1""",
        """printf '{"state": "\\377"}'""", """echo '{"state": "stopped", "off_epoch": 7}'""", "kill -9 $$",
        "yes '[' | tr -d '\\n' | head -c 100000", "exec /nonexistent", """echo '[{"state": "absent"}]'""",
    ],
)  # fmt: skip
async def test_a_state_that_cannot_be_read_is_unknown(directory: Path, script: str) -> None:
    """Never absent, never stopped, and with the reason."""
    status = await scripted(directory, "state", script).state("demo")
    assert (status.state, status.off_epoch) == (PowerState.UNKNOWN, None)
    assert "'state'" in status.detail or "/bin/sh" in status.detail


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        ("list", '{"clusters": []}'), ("list", '{"clusters": {"demo": {"state": "on"}}}'),
        ("list", '{"clusters": {"demo"'),
        ("mounts", "{}"), ("mounts", '{"mounts": [{"node_path": "/n", "host_path": "relative"}]}'),
        ("access", "{}"), ("access", '{"kubeconfig": "a: b: c"}'), ("access", '{"kubeconfig": "only text"}'),
    ],
)  # fmt: skip
async def test_what_breaks_the_contract_is_an_error_that_says_where(directory: Path, verb: str, text: str) -> None:
    """It names the verb and the contract, and quotes nothing of what was printed."""
    script = f"cat <<'END'\n{text}\nEND"
    clusters = scripted(directory, verb, script)
    with pytest.raises(ClusterCommandError, match=f"'{verb}'") as raised:
        await (clusters.list() if verb == "list" else getattr(clusters, verb)("demo"))
    assert "docs/drivers.md" in raised.value.remedy


async def test_keys_on_standard_output_reach_no_error(directory: Path) -> None:
    """A kubeconfig that cannot be read is not quoted, and neither is its repr."""
    clusters = scripted(directory, "access", """echo '{"kubeconfig": "client-key-data: [c2VjcmV0"}'""")
    with pytest.raises(ClusterCommandError) as raised:
        await clusters.access("demo")
    assert "c2VjcmV0" not in json.dumps(raised.value.problem())
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("name", ["../etc", "-rf", "A", "a b", "", "kecs-demo", "$(id)"])
async def test_a_name_is_checked_before_it_becomes_an_argument(clusters: CommandClusters, name: str) -> None:
    """Whoever calls: an argument that begins with a dash would be an option."""
    with pytest.raises(InvalidInstanceName):
        await clusters.start(name)


async def test_nothing_is_expanded_by_a_shell(directory: Path) -> None:
    """Arguments arrive as they are written; other braces stay."""
    script = 'printf \'{"state": "unknown", "detail": "%s"}\' "$1"'
    command = ["/bin/sh", "-c", script, "sh", "$HOME;{other}-{name}"]
    clusters = CommandClusters(settings(directory, state=command))
    assert (await clusters.state("demo")).detail == "$HOME;{other}-demo"


async def test_the_deadline_of_its_verb_ends_a_command(directory: Path) -> None:
    """The problem names the setting."""
    clusters = scripted(directory, "start", "echo waiting for the node >&2; sleep 60", start_seconds=0.3)
    with pytest.raises(ClusterCommandError, match=r"not done after 0\.3 s.*waiting for the node") as raised:
        await clusters.start("demo")
    assert "KECS_STATE_COMMAND__START" in raised.value.remedy

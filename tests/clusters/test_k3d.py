"""The driver ``k3d`` over programs that answer as the real ones were recorded."""

import asyncio
import json
from pathlib import Path

import pytest

from app.clusters.k3d import K3dClusters
from app.errors import ClusterAbsent, ClusterCommandError, ClusterStateUnknown, InvalidInstanceName
from app.ports import Mount, PowerState
from tests.clusters.certificates import self_signed
from tests.clusters.k3d_machine import BALANCER, DATA, SERVER, TOOLS, K3dMachine, container

#: A loopback address for the server's container, so that port 6443 there is nobody else's.
OWN_ADDRESS = "127.94.37.2"


@pytest.fixture
def machine(tmp_path: Path) -> K3dMachine:
    """A machine whose cluster ``kecs-demo`` runs."""
    machine = K3dMachine(tmp_path)
    machine.put()
    return machine


@pytest.mark.parametrize(
    ("server", "balancer", "state"),
    [
        ("running", "running", "running"),
        ("exited", "exited", "stopped"),
        ("exited", "created", "stopped"),
        ("exited", "running", "half-off"),
        ("running", "exited", "half-off"),
        ("restarting", "running", "half-off"),
        ("paused", "running", "half-off"),
        ("dead", "exited", "half-off"),
        ("running", "restarting", "half-off"),
        (None, "running", "half-off"),
        (None, "exited", "half-off"),
        ("running", None, "running"),
        ("exited", None, "stopped"),
        (None, None, "absent"),
    ],
)
async def test_every_recorded_state_is_told(
    machine: K3dMachine, server: str | None, balancer: str | None, state: str
) -> None:
    """Of all containers, by Docker's status: k3d counts one that is paused or restarts for ever as running."""
    machine.put(server, balancer)
    status = await machine.clusters.state("demo")
    assert status.state == state
    assert bool(status.detail) == (state == "half-off")
    assert await machine.clusters.list() == ({} if state == "absent" else {"demo": status})


async def test_what_is_half_off_is_told_container_by_container(machine: K3dMachine) -> None:
    """A person has to see which one."""
    machine.put(None, "running")
    detail = (await machine.clusters.state("demo")).detail
    assert detail == f"there is no server container, {BALANCER} is running"


async def test_images_docker_has_are_brought_onto_the_nodes(machine: K3dMachine) -> None:
    """The others are left to be pulled; nothing at all is imported where Docker has none."""
    machine.put()
    assert await machine.clusters.import_images("demo", ["a:1", "b:2"]) == []
    machine.change(images=["b:2"])
    assert await machine.clusters.import_images("demo", ["a:1", "b:2"]) == ["b:2"]
    assert machine.calls("k3d image import") == ["k3d image import --mode direct --cluster kecs-demo b:2"]


async def test_an_import_that_fails_is_an_error(machine: K3dMachine) -> None:
    """With what k3d said."""
    machine.put()
    machine.change(images=["b:2"], trouble={"import fails": True})
    with pytest.raises(ClusterCommandError, match="could not load image"):
        await machine.clusters.import_images("demo", ["b:2"])


async def test_the_programs_are_told_with_their_versions(machine: K3dMachine) -> None:
    """The daemon's version, not the client's: it is what runs the clusters."""
    tools = {tool.name: (tool.ok, tool.detail) for tool in await machine.clusters.tools()}
    assert tools == {"docker": (True, "20.10.24"), "k3d": (True, "v5.8.3")}


@pytest.mark.parametrize("daemon", ["down", "denied"])
async def test_a_daemon_that_cannot_be_reached_is_dockers_trouble(machine: K3dMachine, daemon: str) -> None:
    """k3d's version is told without it."""
    machine.change(daemon=daemon)
    docker, k3d = await machine.clusters.tools()
    assert (docker.ok, k3d.ok) == (False, True)
    assert docker.remedy


async def test_another_major_version_of_k3d_is_refused(machine: K3dMachine) -> None:
    """What is read here was recorded from version 5."""
    machine.change(trouble={"k3d is": "v4.4.8"})
    _, k3d = await machine.clusters.tools()
    assert (k3d.ok, k3d.detail, k3d.remedy) == (False, "it is v4.4.8", "Install k3d v5.x.")


async def test_clusters_that_are_not_of_kecs_are_left_out(machine: K3dMachine) -> None:
    """Whatever else somebody runs with k3d."""
    other = container("k3d-other-server-0", "server", "running", cluster="other")
    machine.change(containers=machine.world["containers"] | {other["name"]: other})
    assert set(await machine.clusters.list()) == {"demo"}
    assert (await machine.clusters.state("other")).state is PowerState.ABSENT


async def test_a_helper_left_by_a_killed_k3d_is_no_part_of_the_cluster(machine: K3dMachine) -> None:
    """It may run while the cluster is off."""
    machine.put("exited", "exited", **{TOOLS: "running"})
    assert (await machine.clusters.state("demo")).state is PowerState.STOPPED


@pytest.mark.parametrize(
    ("daemon", "trouble", "said"),
    [
        ("down", {}, "Cannot connect to the Docker daemon"),
        ("denied", {}, "permission denied"),
        ("up", {"docker daemon": "down"}, "Cannot connect to the Docker daemon"),
        ("up", {"list prints": '[{"name":"kecs-demo","nodes":[{"na'}, "cannot be read"),
        ("up", {"list prints": '{"name": "kecs-demo"}'}, "cannot be read"),
        ("up", {"list prints": ""}, "cannot be read"),
    ],
)
async def test_what_cannot_be_told_is_unknown_and_never_absent(
    machine: K3dMachine, daemon: str, trouble: dict[str, str], said: str
) -> None:
    """A daemon that is down, no permission, or output that breaks off; every verb says so and changes nothing."""
    machine.change(daemon=daemon, trouble=trouble)
    status = await machine.clusters.state("demo")
    assert (status.state, said in status.detail) == (PowerState.UNKNOWN, True)
    for asked in (machine.clusters.list(), machine.clusters.start("demo"), machine.clusters.stop("demo", drain=False)):
        with pytest.raises(ClusterStateUnknown, match=said):
            await asked
    assert machine.calls("k3d cluster start") == machine.calls("docker kill") == []


async def test_a_daemon_that_hangs_is_unknown_after_the_deadline(machine: K3dMachine) -> None:
    """And k3d is not left behind."""
    machine.change(daemon="hanging")
    clusters = K3dClusters(machine.settings.model_copy(update={"ask_seconds": 0.5}))
    status = await clusters.state("demo")
    assert status.state is PowerState.UNKNOWN
    assert "not done after 0.5 s" in status.detail


async def test_a_missing_program_is_unknown_too(machine: K3dMachine) -> None:
    """By name, with what is needed."""
    clusters = K3dClusters(machine.settings.model_copy(update={"program": "/nowhere/k3d"}))
    with pytest.raises(ClusterStateUnknown, match="/nowhere/k3d") as raised:
        await clusters.list()
    assert "k3d 5" in raised.value.remedy


async def test_info_lines_between_the_output_do_not_matter(machine: K3dMachine) -> None:
    """k3d writes them to standard output, coloured even into a pipe."""
    listed = [{"name": "kecs-demo", "nodes": [{"name": SERVER, "role": "server"}], "new": {"in": "6.0"}}]
    printed = f"\x1b[36mINFO\x1b[0m[0000] Something      \n{json.dumps(listed)}\n"
    machine.change(trouble={"list prints": printed})
    assert (await machine.clusters.state("demo")).state is PowerState.RUNNING


async def test_a_crash_consistent_stop_kills_all_at_once(machine: K3dMachine) -> None:
    """The server first, the disk written before; k3d, which would drain, is not asked."""
    await machine.clusters.stop("demo", drain=False)
    assert machine.calls("docker kill") == [f"docker kill {SERVER} {BALANCER}"]
    assert machine.calls("docker exec") == [f"docker exec {SERVER} sync"]
    assert machine.calls("k3d cluster stop") == []
    assert (await machine.clusters.state("demo")).state is PowerState.STOPPED


async def test_a_drain_is_k3ds_own_stop(machine: K3dMachine) -> None:
    """Which deletes pods without a controller."""
    await machine.clusters.stop("demo", drain=True)
    assert machine.calls("docker kill") == []
    assert (await machine.clusters.state("demo")).state is PowerState.STOPPED


@pytest.mark.parametrize("drain", [True, False])
async def test_a_stop_when_off_does_nothing(machine: K3dMachine, *, drain: bool) -> None:
    """And is success; the epoch stays."""
    machine.put("exited", "exited")
    before = await machine.clusters.state("demo")
    await machine.clusters.stop("demo", drain=drain)
    assert await machine.clusters.state("demo") == before


@pytest.mark.parametrize(("server", "balancer"), [("exited", "running"), ("paused", "running"), (None, "running")])
async def test_a_stop_finishes_what_is_half_off(machine: K3dMachine, server: str | None, balancer: str) -> None:
    """Only what has power is killed: Docker refuses the rest."""
    machine.put(server, balancer)
    await machine.clusters.stop("demo", drain=False)
    assert machine.status(BALANCER) == "exited"


async def test_a_kill_that_fails_is_quoted(machine: K3dMachine) -> None:
    """As long as anything has power."""
    machine.change(trouble={"kill fails": True})
    with pytest.raises(ClusterCommandError, match="Cannot kill container"):
        await machine.clusters.stop("demo", drain=False)


async def test_a_kill_without_effect_is_found_out(machine: K3dMachine) -> None:
    """An exit code of 0 is no proof."""
    machine.change(trouble={"kill does nothing": True})
    clusters = K3dClusters(machine.settings.model_copy(update={"stop_seconds": 1}))
    with pytest.raises(ClusterCommandError, match="still on after the power-off"):
        await clusters.stop("demo", drain=False)


async def test_a_start_is_k3ds_own_bounded_by_itself(machine: K3dMachine) -> None:
    """Without a time-out k3d would wait for ever."""
    machine.put("exited", "exited")
    await machine.clusters.start("demo")
    assert machine.calls("k3d cluster start") == ["k3d cluster start kecs-demo --timeout 100s"]
    assert (await machine.clusters.state("demo")).state is PowerState.RUNNING


async def test_a_start_when_on_is_success(machine: K3dMachine) -> None:
    """k3d takes 0.6 s for it."""
    before = await machine.clusters.state("demo")
    await machine.clusters.start("demo")
    assert await machine.clusters.state("demo") == before


@pytest.mark.parametrize("status", ["paused", "restarting"])
async def test_a_start_that_k3d_takes_for_done_is_found_out(machine: K3dMachine, status: str) -> None:
    """k3d says that all servers run already, with exit code 0."""
    machine.put(status)
    with pytest.raises(ClusterCommandError, match=f"{SERVER} is {status}"):
        await machine.clusters.start("demo")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("listen tcp4 0.0.0.0:5373: bind: address already in use", "Free the port"),
        ("Bind for 0.0.0.0:5373 failed: port is already allocated", "Stop the container"),
        ("failed to gather info: network k3d-kecs-demo not found", "network is gone"),
        ("failed to enable k3d fixes: Cannot enable DNS fix, as Host Gateway IP is missing!", "Run the command"),
        ("stopped returning log lines: context deadline exceeded", "Run the command"),
    ],
)
async def test_a_start_that_fails_says_what_k3d_said(machine: K3dMachine, said: str, remedy: str) -> None:
    """Without colours, with what to do."""
    machine.put("exited", "exited")
    machine.change(trouble={"start fails": said})
    with pytest.raises(ClusterCommandError) as raised:
        await machine.clusters.start("demo")
    assert said in raised.value.detail
    assert remedy in raised.value.remedy
    assert "\x1b" not in raised.value.detail


async def test_a_start_that_trips_over_a_left_helper_is_tried_again(machine: K3dMachine) -> None:
    """The first one fails with the server up and the load balancer down, the second one succeeds."""
    machine.put("exited", "exited", **{TOOLS: "exited"})
    await machine.clusters.start("demo")
    assert len(machine.calls("k3d cluster start")) == 2
    assert (await machine.clusters.state("demo")).state is PowerState.RUNNING


async def test_the_epoch_changes_with_every_power_off_and_on(machine: K3dMachine) -> None:
    """Whoever did it, also by hand with docker."""
    epochs = [(await machine.clusters.state("demo")).off_epoch]
    for _ in range(2):
        await machine.clusters.stop("demo", drain=False)
        epochs.append((await machine.clusters.state("demo")).off_epoch)
        await machine.clusters.start("demo")
        epochs.append((await machine.clusters.state("demo")).off_epoch)
    assert len(set(epochs)) == 5


async def test_another_container_of_the_same_name_has_another_epoch(machine: K3dMachine) -> None:
    """KECS deletes and creates clusters anew."""
    before = await machine.clusters.state("demo")
    machine.bend(SERVER, id="f" * 64)
    assert (await machine.clusters.state("demo")).off_epoch != before.off_epoch


async def test_access_has_the_port_of_this_start(machine: K3dMachine) -> None:
    """k3d's own has none; a load balancer gets a new one at every start."""
    first = (await machine.clusters.access("demo")).kubeconfig
    assert first["clusters"][0]["cluster"] == {
        "certificate-authority-data": "Y2E=", "server": "https://127.0.0.1:32767",
    }  # fmt: skip
    await machine.clusters.stop("demo", drain=False)
    await machine.clusters.start("demo")
    second = (await machine.clusters.access("demo")).kubeconfig
    assert second["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:32768"


async def test_without_a_load_balancer_the_server_publishes_the_api(machine: K3dMachine) -> None:
    """KECS makes small clusters so."""
    machine.put("running", None)
    machine.bend(SERVER, publishes="6443/tcp", port=40_001)
    access = await machine.clusters.access("demo")
    assert access.kubeconfig["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:40001"


@pytest.mark.parametrize(("certified", "used"), [(OWN_ADDRESS, True), ("127.94.37.3", False)])
async def test_a_server_is_used_at_its_own_address_if_it_is_the_one(
    machine: K3dMachine, tmp_path: Path, certified: str, *, used: bool
) -> None:
    """It answers seconds before the load balancer does; but a stranger's certificate there would end every request."""
    machine.bend(SERVER, address=OWN_ADDRESS)
    authority, tls = self_signed(tmp_path, certified)
    machine.change(authority=authority)
    async with await asyncio.start_server(lambda _, writer: writer.close(), OWN_ADDRESS, 6443, ssl=tls):
        access = await machine.clusters.access("demo")
    server = access.kubeconfig["clusters"][0]["cluster"]["server"]
    assert server == (f"https://{OWN_ADDRESS}:6443" if used else "https://127.0.0.1:32767")


async def test_there_is_no_access_to_what_is_off(machine: K3dMachine) -> None:
    """Though k3d gives out the kubeconfig of a stopped container."""
    machine.put("exited", "exited")
    with pytest.raises(ClusterCommandError, match="published on no port"):
        await machine.clusters.access("demo")


@pytest.mark.parametrize(
    "printed", ["---\n", "a: [", "clusters: []", "clusters: [text]", "clusters: [{cluster: text}]"]
)
async def test_a_kubeconfig_that_is_none_is_an_error(machine: K3dMachine, printed: str) -> None:
    """Nothing of it is quoted."""
    machine.change(trouble={"kubeconfig prints": printed})
    with pytest.raises(ClusterCommandError, match="no kubeconfig") as raised:
        await machine.clusters.access("demo")
    assert printed not in raised.value.detail


async def test_mounts_are_the_directories_of_the_host(machine: K3dMachine) -> None:
    """Volumes are Docker's own and die with the container."""
    assert await machine.clusters.mounts("demo") == [Mount(DATA, DATA)]


async def test_a_cluster_without_server_mounts_nothing(machine: K3dMachine) -> None:
    """Which is not the same as not knowing."""
    machine.put(None)
    assert await machine.clusters.mounts("demo") == []


async def test_verbs_on_a_cluster_there_is_not_name_the_way_out(machine: K3dMachine) -> None:
    """KECS makes clusters, this service does not."""
    clusters = machine.clusters
    for asked in (
        clusters.start("gone"),
        clusters.stop("gone", drain=True),
        clusters.access("gone"),
        clusters.mounts("gone"),
    ):
        with pytest.raises(ClusterAbsent) as raised:
            await asked
        assert "kecs start" in raised.value.remedy


@pytest.mark.parametrize("name", ["--all", "a/b", "kecs-demo", ""])
async def test_a_name_is_checked_before_it_becomes_an_argument(machine: K3dMachine, name: str) -> None:
    """No program is run for it."""
    with pytest.raises(InvalidInstanceName):
        await machine.clusters.state(name)
    assert machine.calls("k3d") == []

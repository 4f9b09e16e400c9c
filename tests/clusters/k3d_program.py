"""Plays ``k3d`` 5.8.3 and ``docker`` 20.10 as recorded, over containers that are entries of a JSON file.

``k3d_program.py WORLD.json k3d|docker ARGUMENTS…``. Streams, colours, exit codes and texts follow the recordings; how
long things take is scaled by ``pace`` in the world, 0 being not at all. ``trouble`` bends what the programs do, by
name. With ``sandbox``, a state directory, a server's power is that of the sandbox cluster behind it.
"""

import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

SANDBOX_POWER = Path(__file__).with_name("sandbox_power.py")
MOST_SECONDS = 60
SOCKET = "unix:///var/run/docker.sock"
NO_DAEMON = {
    "down": f"Cannot connect to the Docker daemon at {SOCKET}. Is the docker daemon running?",
    "denied": f"permission denied while trying to connect to the Docker daemon socket at {SOCKET}",
}
LIST_FRAME = "docker failed to get containers with labels 'map[{label}]': failed to list containers: {cause}"
INFO, WARN, ERRO, FATA = ("36mINFO", "33mWARN", "31mERRO", "31mFATA")
KUBECONFIG = """---
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: {authority}
    server: 'https://0.0.0.0:'
  name: k3d-{name}
contexts:
- context: {{cluster: k3d-{name}, user: admin@k3d-{name}}}
  name: k3d-{name}
current-context: k3d-{name}
users:
- name: admin@k3d-{name}
  user: {{client-certificate-data: Y2VydA==, client-key-data: a2V5}}
"""


def log(level: str, message: str) -> None:
    """INFO goes to standard output, everything else to standard error; always in colours."""
    stream = sys.stdout if level == INFO else sys.stderr
    stream.write(f"\x1b[{level}\x1b[0m[0000] {message:<44}\n")


def fatal(message: str) -> NoReturn:
    """The last line of a k3d that fails."""
    log(FATA, message)
    sys.exit(1)


class Machine:
    """The containers and the daemon behind both programs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.world: dict[str, Any] = json.loads(file.read_text())
        self.containers: dict[str, dict[str, Any]] = self.world["containers"]

    def trouble(self, name: str) -> Any:
        """How the test has bent this, if it has."""
        return self.world["trouble"].get(name)

    def wait(self, seconds: float) -> None:
        """What the real program spends its time with, scaled down."""
        time.sleep(seconds * self.world["pace"])

    def hold_balancer(self) -> None:
        """Until a test lets go of it, or for ever; or fail."""
        if (failure := self.trouble("balancer fails")) is not None:
            fatal(failure)
        until = time.monotonic() + MOST_SECONDS
        while (file := self.trouble("balancer waits for")) and not Path(file).exists() and time.monotonic() < until:
            time.sleep(0.02)

    def nodes(self, cluster: str, *, tools: bool = False) -> list[dict[str, Any]]:
        """Containers of a cluster, the load balancer first."""
        found = [node for node in self.containers.values() if node["cluster"] == cluster]
        return sorted((node for node in found if tools or node["role"]), key=lambda node: node["name"], reverse=True)

    def power(self, node: dict[str, Any], status: str, code: int = 0, *, drain: bool = False) -> None:
        """Switch a container and note when."""
        if node["role"] == "server" and status != "running":
            self.sandbox("stop", node["cluster"], str(drain).lower())
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Read again: k3d knows no lock, so another one may have switched another container meanwhile.
            self.world = json.loads(self._file.read_text())
            self.world["clock"] += 1
            moment = f"2026-11-23T06:{self.world['clock'] // 60:02d}:{self.world['clock'] % 60:02d}.5Z"
            node |= {"status": status, "code": code} | {"started" if status == "running" else "finished": moment}
            if status == "running" and node["role"] == "loadbalancer":
                node["port"] = self.port_behind(node)
            self.world["containers"][node["name"]] = node
            self._write()
        if node["role"] == "server" and status == "running":
            self.sandbox("start", node["cluster"], str(drain).lower())

    def remove(self, name: str) -> dict[str, Any] | None:
        """A container that is gone, if there was one."""
        found: dict[str, Any] | None = self.world["containers"].pop(name, None)
        self._write()
        return found

    def keep_image(self, reference: str) -> None:
        """Docker has it from now on."""
        self.world["images"].append(reference)
        self._write()

    def port_behind(self, balancer: dict[str, Any]) -> int:
        """Where the API is published from now on; another port at every start."""
        access = self.sandbox("access", balancer["cluster"])
        if access is None:
            return int(balancer["port"]) + 1
        return int(access["kubeconfig"]["clusters"][0]["cluster"]["server"].rpartition(":")[2])

    def sandbox(self, verb: str, cluster: str, *arguments: str) -> Any:
        """What the sandbox cluster behind one of k3d's answers; None where there is none."""
        if (state_dir := self.world["sandbox"]) is None:
            return None
        command = [sys.executable, str(SANDBOX_POWER), state_dir, verb, cluster.removeprefix("kecs-"), *arguments]
        # In a session of its own: Docker's containers do not end with the k3d that started them.
        played = subprocess.run(command, check=True, stdout=subprocess.PIPE, start_new_session=True)
        return json.loads(played.stdout)

    def _write(self) -> None:
        """Whole or not at all, since another program may be reading."""
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(self.world))
        temporary.replace(self._file)

    def need_daemon(self, label: str, frame: str, then: str = "") -> None:
        """End as k3d does when Docker cannot be reached."""
        cause = NO_DAEMON.get(self.world["daemon"])
        if self.world["daemon"] == "hanging":
            time.sleep(MOST_SECONDS)
        if cause:
            message = frame + LIST_FRAME.format(label=label, cause=cause)
            if then:
                log(ERRO, message)
            fatal(then or message)


def cluster_list(machine: Machine, *_: str) -> None:
    """One line of JSON, without the helper containers."""
    machine.need_daemon("app:k3d", "runtime failed to list nodes: ")
    if (text := machine.trouble("list prints")) is not None:
        sys.stdout.write(text)
        return
    names = sorted({node["cluster"] for node in machine.containers.values() if node["role"]})
    clusters = [
        {
            "name": name, "network": {"name": f"k3d-{name}", "Members": None},
            "nodes": [
                {"name": node["name"], "role": node["role"], "Cmd": None, "IP": {"IP": "", "Static": False},
                 "State": {"Running": node["status"] != "exited", "Status": node["status"], "Started": ""}}
                for node in machine.nodes(name)
            ],
            "serversRunning": 1, "serversCount": 1, "hasLoadbalancer": True,
        }
        for name in names
    ]  # fmt: skip
    sys.stdout.write(json.dumps(clusters) + "\n")


def found_nodes(machine: Machine, name: str, *, tools: bool = False) -> list[dict[str, Any]]:
    """The nodes of a named cluster; none ends the program, and a daemon that is down looks alike."""
    nothing = "No nodes found for given cluster"
    machine.need_daemon(f"k3d.cluster:{name}", f"Failed to get nodes for cluster '{name}': ", nothing)
    return machine.nodes(name, tools=tools) or fatal(nothing)


def cluster_start(machine: Machine, name: str, *_: str) -> None:
    """Servers, then helpers; a server that has power already is taken for started."""
    nodes = found_nodes(machine, name, tools=True)
    if (failure := machine.trouble("start fails")) is not None:
        fatal(failure)
    servers = [node for node in nodes if node["role"] == "server"]
    fresh = any(node["status"] == "exited" for node in servers)
    if not fresh:
        log(INFO, "All servers already running.")
    for node in [*servers, *(node for node in nodes if node["role"] == "loadbalancer")]:
        if node["status"] == "exited":
            log(INFO, f"Starting node '{node['name']}'")
            machine.wait(6.0 if node["role"] == "loadbalancer" else 0.6)
            if node["role"] == "loadbalancer":
                machine.hold_balancer()
            machine.power(node, machine.trouble("start leaves") or "running")
    helper = machine.remove(f"k3d-{name}-tools")
    if helper is not None and helper["status"] == "exited":
        at = f"node '{helper['name']}'"
        fatal(f"Failed to add one or more helper nodes: runtime failed to start {at}: Didn't find container for {at}")
    if fresh:
        log(INFO, "Injecting records for hostAliases (incl. host.k3d.internal) into CoreDNS configmap...")
        machine.wait(1.7)
    log(INFO, f"Started cluster '{name}'")


def cluster_stop(machine: Machine, name: str, *_: str) -> None:
    """The load balancer is killed after its grace, the server ends after its drain; success whatever happens."""
    for node in found_nodes(machine, name, tools=True):
        if node["status"] != "exited":
            machine.wait(10.0 if node["role"] == "loadbalancer" else 0)
            machine.power(node, "exited", 137 if node["role"] == "loadbalancer" else 143, drain=True)
    log(INFO, f"Stopping cluster '{name}'")
    log(INFO, f"Stopped cluster '{name}'")


def kubeconfig_get(machine: Machine, name: str, *_: str) -> None:
    """The file in the server's container, also of a stopped one; with no port, as KECS asks for none."""
    nodes = found_nodes(machine, name)
    if not any(node["role"] == "server" for node in nodes):
        sys.stdout.write("---\n")
        log(ERRO, f"failed to get kubeconfig for cluster '{name}': didn't find any server node for cluster '{name}'")
        sys.exit(1)
    sys.stdout.write(machine.trouble("kubeconfig prints") or _kubeconfig(machine, name))


def _kubeconfig(machine: Machine, name: str) -> str:
    access = machine.sandbox("access", name)
    if access is None:
        return KUBECONFIG.format(name=name, authority=machine.world["authority"])
    access["kubeconfig"]["clusters"][0]["cluster"]["server"] = "https://0.0.0.0:"
    return "---\n" + json.dumps(access["kubeconfig"]) + "\n"


def docker_inspect(machine: Machine, *arguments: str) -> None:
    """A JSON array of what there is; one name that is not known makes it a failure."""
    names = [argument for argument in arguments if not argument.startswith("-") and argument != "container"]
    if cause := NO_DAEMON.get(machine.trouble("docker daemon") or machine.world["daemon"]):
        sys.stdout.write("[]\n")
        sys.exit(cause)
    sys.stdout.write(json.dumps([_inspected(machine.containers[name]) for name in names if name in machine.containers]))
    if missing := [name for name in names if name not in machine.containers]:
        sys.exit(f"Error: No such object: {missing[0]}")


def _inspected(node: dict[str, Any]) -> dict[str, Any]:
    status = node["status"]
    on = status == "running"
    addresses = ("::", "0.0.0.0")  # noqa: S104 - printed, not bound
    published = [{"HostIp": address, "HostPort": str(node["port"])} for address in addresses]
    return {
        "Id": node["id"], "Name": f"/{node['name']}", "RestartCount": 0,
        "State": {
            "Status": status, "Running": status not in {"exited", "created"}, "Paused": status == "paused",
            "ExitCode": node["code"], "StartedAt": node["started"], "FinishedAt": node["finished"],
        },
        "Mounts": [
            {"Type": "volume", "Name": "images", "Source": "/var/lib/docker/volumes/i", "Destination": "/k3d/images"},
            *({"Type": "bind", "Source": path, "Destination": path, "RW": True} for path in node["binds"]),
        ],
        "NetworkSettings": {
            "Ports": {node["publishes"]: published, "80/tcp": None} if on else {},
            "Networks": {f"k3d-{node['cluster']}": {"IPAMConfig": None, "IPAddress": node["address"] if on else ""}},
        },
    }  # fmt: skip


def docker_kill(machine: Machine, *names: str) -> None:
    """Each by itself; one that does not run is an error, and the others are killed all the same."""
    machine.wait(0.4)
    code = 0
    for name in names:
        node = machine.containers[name]
        if node["status"] == "exited" or machine.trouble("kill fails"):
            sys.stderr.write(f"Error response from daemon: Cannot kill container: {name}: is not running\n")
            code = 1
        elif not machine.trouble("kill does nothing"):
            machine.power(node, "exited", 137)
    sys.exit(code)


def docker_exec(machine: Machine, name: str, *_: str) -> None:
    """Needs a container that runs."""
    if machine.containers[name]["status"] != "running":
        sys.exit(f"Error response from daemon: Container {name} is not running")


def image_import(machine: Machine, *arguments: str) -> None:
    """``--mode direct --cluster NAME REFERENCE…``; without that mode it would be a success whatever happens."""
    assert arguments[:3] == ("--mode", "direct", "--cluster"), arguments
    name, references = arguments[3], arguments[4:]
    found_nodes(machine, name)
    if machine.trouble("import fails"):
        log(ERRO, f"Failed to import image(s) into cluster '{name}': could not load image to cluster from stream")
        sys.exit(1)
    log(INFO, f"Successfully imported {len(references)} image(s) into 1 cluster(s)")


def docker_image_inspect(machine: Machine, *arguments: str) -> None:
    """Its id, if the daemon has it."""
    reference = arguments[-1]
    if cause := NO_DAEMON.get(machine.world["daemon"]):
        sys.exit(cause)
    if reference not in machine.world["images"]:
        sys.exit(f"Error: No such image: {reference}")
    sys.stdout.write("sha256:1e737c68e2c0c76b8ee9153bd6fa6c70d1c11f1224d28b765be4e7bcb15fcea2\n")


def docker_pull(machine: Machine, reference: str) -> None:
    """From a registry that has everything."""
    machine.keep_image(reference)
    sys.stdout.write(f"Status: Downloaded newer image for {reference}\n")


def docker_save(machine: Machine, output: str, file: str, *references: str) -> None:
    """The archive is a list of its images here."""
    assert output == "--output", output
    if missing := set(references) - set(machine.world["images"]):
        sys.exit(f"Error response from daemon: reference does not exist: {missing}")
    Path(file).write_text(json.dumps(references))


def docker_load(machine: Machine, option: str, file: str) -> None:
    """What the archive lists."""
    assert option == "--input", option
    for reference in json.loads(Path(file).read_text()):
        machine.keep_image(reference)
        sys.stdout.write(f"Loaded image: {reference}\n")


def k3d_version(machine: Machine, *_: str) -> None:
    """Works without Docker."""
    sys.stdout.write(json.dumps({"k3d": machine.trouble("k3d is") or "v5.8.3", "k3s": "v1.31.5-k3s1"}) + "\n")


def docker_version(machine: Machine, *_: str) -> None:
    """Without its daemon the server's part is missing."""
    cause = NO_DAEMON.get(machine.world["daemon"])
    server = None if cause else {"Version": "20.10.24", "ApiVersion": "1.41"}
    sys.stdout.write(json.dumps({"Client": {"Version": "28.2.2"}, "Server": server}) + "\n")
    sys.exit(cause)


COMMANDS: dict[tuple[str, ...], Callable[..., None]] = {
    ("k3d", "cluster", "list"): cluster_list,
    ("k3d", "cluster", "start"): cluster_start,
    ("k3d", "cluster", "stop"): cluster_stop,
    ("k3d", "kubeconfig", "get"): kubeconfig_get,
    ("k3d", "image", "import"): image_import,
    ("k3d", "version"): k3d_version,
    ("docker", "image", "inspect"): docker_image_inspect,
    ("docker", "pull"): docker_pull,
    ("docker", "save"): docker_save,
    ("docker", "load"): docker_load,
    ("docker", "version"): docker_version,
    ("docker", "inspect"): docker_inspect,
    ("docker", "kill"): docker_kill,
    ("docker", "exec"): docker_exec,
}


if __name__ == "__main__":
    words = tuple(sys.argv[2:])
    with Path(sys.argv[1]).with_name("calls").open("a") as calls:
        calls.write(" ".join(words) + "\n")
    command = next(known for known in COMMANDS if words[: len(known)] == known)
    COMMANDS[command](Machine(Path(sys.argv[1])), *words[len(command) :])

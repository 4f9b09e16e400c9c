"""What docker-compose.yml promises, and that it is one."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Every service by name, before variables are put in."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


@pytest.fixture
def service(services: dict[str, Any]) -> dict[str, Any]:
    """Our own."""
    found: dict[str, Any] = services["kecs-state"]
    return found


def test_it_is_what_the_compose_specification_says() -> None:
    """By the specification's own schema; the command is one a person would use."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_instances_lie_at_the_same_path_inside_and_outside(service: dict[str, Any]) -> None:
    """What Docker says of a cluster's mounts is then true for the service too; and Docker never makes it as root."""
    home = service["volumes"][0]
    assert home["source"] == home["target"] == service["environment"]["KECS_STATE_HOME"].replace(":?", "")
    assert home["bind"] == {"create_host_path": False}


def test_the_service_is_its_users_and_may_do_nothing_else(service: dict[str, Any]) -> None:
    """No root, no capability, nothing to write but the instances and /tmp."""
    assert service["user"].startswith("${KECS_UID:?")
    assert service["group_add"][0].startswith("${DOCKER_GID:?")
    assert (service["cap_drop"], service["read_only"], service["tmpfs"]) == (["ALL"], True, ["/tmp"])
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


def test_nothing_listens_beyond_loopback(services: dict[str, Any]) -> None:
    """All share the host's network, so each has to say where it listens; the service does so by itself."""
    assert {service["network_mode"] for service in services.values()} == {"host"}
    assert "--web.listen-address=127.0.0.1:9090" in services["prometheus"]["command"]
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert "listen_addresses=127.0.0.1" in services["postgres"]["command"]
    assert not any("SERVER__HOST" in variable for variable in services["kecs-state"]["environment"])


def test_only_the_service_starts_unless_more_is_asked_for(services: dict[str, Any]) -> None:
    """Monitoring is a profile, and so is a server for the history, which the service waits for where there is one."""
    profiles = {name: service.get("profiles", []) for name, service in services.items()}
    assert profiles == {
        "kecs-state": [], "postgres": ["postgres"], "prometheus": ["monitoring"], "grafana": ["monitoring"],
    }  # fmt: skip
    assert services["kecs-state"]["depends_on"] == {"postgres": {"condition": "service_healthy", "required": False}}


def test_the_database_has_no_password_of_ours(services: dict[str, Any]) -> None:
    """It comes from .env, and there is none to fall back to."""
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "${POSTGRES_PASSWORD:-}"


def test_images_of_others_are_pinned(services: dict[str, Any]) -> None:
    """To a version, with their registry."""
    images = [service["image"] for service in services.values() if "image" in service]
    assert images
    assert all(re.fullmatch(r"docker\.io/\S+:v?\d+\.\d+(\.\d+)?", image) for image in images)


def test_what_is_mounted_from_here_is_here(services: dict[str, Any]) -> None:
    """A typing error would be an empty directory, made by Docker."""
    mounted = [volume for service in services.values() for volume in service["volumes"] if isinstance(volume, str)]
    sources = [volume.split(":")[0] for volume in mounted if volume.startswith("./")]
    assert len(sources) == 3
    assert all((ROOT / source).is_dir() for source in sources)

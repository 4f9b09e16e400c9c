"""What is compared of two objects, and what by rule is not."""

from typing import Any

import pytest

from app.kubernetes.comparing import differences, normalise


def service(namespace: str, name: str, **port: Any) -> dict[str, Any]:
    """With one port."""
    return {"kind": "Service", "metadata": {"namespace": namespace, "name": name}, "spec": {"ports": [port]}}


def paths(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Where two objects differ after the rules."""
    return [each.path for each in differences(normalise(before)[0], normalise(after)[0])]


def test_the_api_servers_own_service_follows_its_port() -> None:
    """A cluster made anew may answer on another one, which no restore has to bring back."""
    before, after = (service("default", "kubernetes", port=443, targetPort=port) for port in (6443, 7443))
    assert paths(before, after) == []
    assert normalise(before)[1] == {"targetPort of the API server's own Service": 1}


@pytest.mark.parametrize(("namespace", "name"), [("default", "web"), ("shop", "kubernetes")])
def test_the_port_of_any_other_service_counts(namespace: str, name: str) -> None:
    """Also of one that only shares its name."""
    before, after = (service(namespace, name, port=443, targetPort=port) for port in (6443, 7443))
    assert paths(before, after) == ["/spec/ports/0/targetPort"]


def test_the_container_in_which_a_restored_pod_waited_for_its_data_is_not_compared() -> None:
    """Velero puts it before the pod's own ones, and it stays."""
    own = {"name": "init", "image": "i"}
    before = {"kind": "Pod", "metadata": {"name": "api"}, "spec": {"containers": [], "initContainers": [own]}}
    spec = {"containers": [], "initContainers": [{"name": "restore-wait", "image": "velero"}, own]}
    after = before | {"spec": spec}
    assert paths(before, after) == []
    assert normalise(after)[1] == {"Pod restore-wait container": 1}


def test_other_fields_of_the_api_servers_own_service_count() -> None:
    """The rule is for one field."""
    assert paths(service("default", "kubernetes", port=443), service("default", "kubernetes", port=444)) == [
        "/spec/ports/0/port"
    ]


def test_an_absent_list_and_an_empty_one_are_the_same() -> None:
    """To Kubernetes too; an empty text is a value."""
    bare: dict[str, Any] = {"kind": "ConfigMap", "metadata": {"name": "a"}}
    assert paths(bare, bare | {"data": {}}) == []
    assert paths(bare | {"data": {}}, bare | {"data": {"a": ""}}) == ["/data/a"]

"""kubectl: what a person does with it works in every world."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import yaml

from app.kubernetes.resources import NAMESPACES
from tests.contract.conftest import Programs
from tests.contract.world import World
from tests.tools import Running, Tool

pytestmark = pytest.mark.tools

GADGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.tools.example"},
    "spec": {
        "group": "tools.example",
        "scope": "Namespaced",
        "names": {"plural": "gadgets", "kind": "Gadget", "singular": "gadget", "shortNames": ["gd"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Ready", "type": "string", "jsonPath": '.spec.conditions[?(@.type=="Ready")].status'},
                    {"name": "Maker", "type": "string", "jsonPath": ".spec.maker", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "A thing for tests.",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "size": {"type": "integer", "description": "How big it is."},
                                    "maker": {"type": "string"},
                                    "conditions": {
                                        "type": "array",
                                        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    },
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}
GADGET = {
    "apiVersion": "tools.example/v1",
    "kind": "Gadget",
    "metadata": {"name": "one"},
    "spec": {"size": 3, "maker": "us", "conditions": [{"type": "Ready", "status": "True"}]},
}


def config_map(**data: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": data})


def deployment(**changes: object) -> str:
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "example.invalid/web:1"}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template, **changes}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})


@pytest.fixture
async def kubectl(world: World, namespace: str, programs: Programs) -> Tool:
    return await programs.tool("kubectl", world, namespace)


@pytest.fixture
async def gadget(kubectl: Tool) -> AsyncIterator[Tool]:
    """A custom resource with one object."""
    await kubectl.ok("apply", "-f", "-", stdin=json.dumps(GADGETS))
    await kubectl.ok("wait", "--for=condition=Established", "crd/gadgets.tools.example")
    await kubectl.ok("create", "-f", "-", stdin=json.dumps(GADGET))
    yield kubectl
    await kubectl.ok("delete", "crd", "gadgets.tools.example")


def rows(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]


async def test_version(kubectl: Tool) -> None:
    """Both versions, the server's not older than what we support."""
    found = json.loads(await kubectl.ok("version", "-o", "json"))
    assert found["serverVersion"]["gitVersion"].startswith("v1.3")


async def test_api_resources(kubectl: Tool) -> None:
    """Kinds with their short names."""
    printed = rows(await kubectl.ok("api-resources", "--api-group=apps", "--no-headers"))
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in printed


async def test_an_empty_namespace_is_said_to_be_one(kubectl: Tool) -> None:
    """Nothing on standard output, and success."""
    found = await kubectl.run("get", "deployments")
    assert (found.code, found.out) == (0, "")
    assert "No resources found" in found.err


NEWER_HEADINGS = {"ipaddresses", "priorityclasses", "resourcequotas", "servicecidrs"}
NEWER = pytest.mark.newer_kubernetes("it has other columns, or no such type")
HEADINGS = {
    "pods": "NAME READY STATUS RESTARTS AGE",
    "deployments": "NAME READY UP-TO-DATE AVAILABLE AGE",
    "statefulsets": "NAME READY AGE",
    "daemonsets": "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE",
    "replicasets": "NAME DESIRED CURRENT READY AGE",
    "jobs": "NAME STATUS COMPLETIONS DURATION AGE",
    "cronjobs": "NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE",
    "services": "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE",
    "configmaps": "NAME DATA AGE",
    "secrets": "NAME TYPE DATA AGE",
    "serviceaccounts": "NAME SECRETS AGE",
    "ingresses": "NAME CLASS HOSTS ADDRESS PORTS AGE",
    "persistentvolumeclaims": "NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE",
    "persistentvolumes": "NAME CAPACITY ACCESS MODES RECLAIM POLICY STATUS CLAIM STORAGECLASS VOLUMEATTRIBUTESCLASS "
    "REASON AGE",
    "storageclasses": "NAME PROVISIONER RECLAIMPOLICY VOLUMEBINDINGMODE ALLOWVOLUMEEXPANSION AGE",
    "namespaces": "NAME STATUS AGE",
    "nodes": "NAME STATUS ROLES AGE VERSION",
    "roles": "NAME CREATED AT",
    "rolebindings": "NAME ROLE AGE",
    "clusterrolebindings": "NAME ROLE AGE",
    "customresourcedefinitions": "NAME CREATED AT",
    "apiservices": "NAME SERVICE AVAILABLE AGE",
    "poddisruptionbudgets": "NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS AGE",
    "networkpolicies": "NAME POD-SELECTOR AGE",
    "horizontalpodautoscalers": "NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS AGE",
    "resourcequotas": "NAME REQUEST LIMIT AGE",
    "limitranges": "NAME CREATED AT",
    "leases": "NAME HOLDER AGE",
    "endpointslices": "NAME ADDRESSTYPE PORTS ENDPOINTS AGE",
    "priorityclasses": "NAME VALUE GLOBAL-DEFAULT AGE PREEMPTIONPOLICY",
    "validatingwebhookconfigurations": "NAME WEBHOOKS AGE",
    "ingressclasses": "NAME CONTROLLER PARAMETERS AGE",
    "controllerrevisions": "NAME CONTROLLER REVISION AGE",
    "csidrivers": "NAME ATTACHREQUIRED PODINFOONMOUNT STORAGECAPACITY TOKENREQUESTS REQUIRESREPUBLISH MODES AGE",
    "csinodes": "NAME DRIVERS AGE",
    "volumeattachments": "NAME ATTACHER PV NODE ATTACHED AGE",
    "certificatesigningrequests": "NAME AGE SIGNERNAME REQUESTOR REQUESTEDDURATION CONDITION",
    "flowschemas": "NAME PRIORITYLEVEL MATCHINGPRECEDENCE DISTINGUISHERMETHOD AGE MISSINGPL",
    "prioritylevelconfigurations": "NAME TYPE NOMINALCONCURRENCYSHARES QUEUES HANDSIZE QUEUELENGTHLIMIT AGE",
    "ipaddresses": "NAME PARENTREF",
    "servicecidrs": "NAME CIDRS AGE",
    "replicationcontrollers": "NAME DESIRED CURRENT READY AGE",
    "podtemplates": "NAME CONTAINERS IMAGES POD LABELS",
    "events": "LAST SEEN TYPE REASON OBJECT MESSAGE",
}


async def _column_names(world: World, kubectl: Tool, plural: str) -> str:
    """As the server gives them: kubectl prints no heading over nothing."""
    listed = rows(await kubectl.ok("api-resources", "--no-headers"))
    version = next(row for row in listed if row[0] == plural)[-3]
    path = f"/apis/{version}/{plural}" if "/" in version else f"/api/{version}/{plural}"
    answer = await world.http("GET", f"{path}?limit=1", Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    return " ".join(column["name"].upper() for column in answer.json["columnDefinitions"] if not column["priority"])


@pytest.mark.parametrize(
    "plural", [pytest.param(plural, marks=NEWER) if plural in NEWER_HEADINGS else plural for plural in HEADINGS]
)
async def test_columns_of_a_kind(world: World, kubectl: Tool, plural: str) -> None:
    """The columns kubectl prints are the server's."""
    assert await _column_names(world, kubectl, plural) == HEADINGS[plural]


async def test_get_prints_a_table(kubectl: Tool) -> None:
    """By kind, with the figures of each object."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1", b="2"))
    heading, row = rows(await kubectl.ok("get", "configmap", "one"))
    assert (heading, row[:2]) == (["NAME", "DATA", "AGE"], ["one", "2"])


async def test_get_wide_adds_columns(kubectl: Tool) -> None:
    """Containers and images of a Deployment."""
    await kubectl.ok("apply", "-f", "-", stdin=deployment())
    row = rows(await kubectl.ok("get", "deployment", "web", "-o", "wide"))[1]
    assert row[:4] + row[5:] == ["web", "0/0", "0", "0", "main", "example.invalid/web:1", "app=web"]


async def test_get_as_json(kubectl: Tool) -> None:
    """The whole object."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1"))
    assert json.loads(await kubectl.ok("get", "cm", "one", "-o", "json"))["data"] == {"a": "1"}


async def test_get_as_yaml(kubectl: Tool) -> None:
    """The whole object."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1"))
    assert yaml.safe_load(await kubectl.ok("get", "cm", "one", "-o", "yaml"))["kind"] == "ConfigMap"


async def test_get_names(kubectl: Tool) -> None:
    """With kind and group."""
    await kubectl.ok("apply", "-f", "-", stdin=deployment())
    assert await kubectl.ok("get", "deployments", "-o", "name") == "deployment.apps/web\n"


async def test_get_watches(kubectl: Tool) -> None:
    """What is there, then what happens."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1"))
    async with Running(kubectl, "get", "configmap", "one", "--watch") as watching:
        assert (await watching.line()).split() == ["NAME", "DATA", "AGE"]
        assert (await watching.line()).split()[:2] == ["one", "1"]
        await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1", b="2", c="3"))
        assert (await watching.line()).split()[:2] == ["one", "3"]


async def test_get_by_label(kubectl: Tool) -> None:
    """The server selects."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1"))
    await kubectl.ok("label", "configmap", "one", "colour=red")
    assert await kubectl.ok("get", "configmaps", "-l", "colour=red", "-o", "name") == "configmap/one\n"


async def test_apply_changes_only_what_differs(kubectl: Tool) -> None:
    """Created, unchanged, configured."""
    assert "created" in await kubectl.ok("apply", "-f", "-", stdin=deployment())
    assert "unchanged" in await kubectl.ok("apply", "-f", "-", stdin=deployment())
    assert "configured" in await kubectl.ok("apply", "-f", "-", stdin=deployment(minReadySeconds=3))


async def test_apply_removes_what_the_file_no_longer_has(kubectl: Tool) -> None:
    """By the annotation of the last apply."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1", b="2"))
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1"))
    assert json.loads(await kubectl.ok("get", "cm", "one", "-o", "json"))["data"] == {"a": "1"}


async def test_apply_on_the_server(kubectl: Tool) -> None:
    """A second manager of a field is a conflict, until it forces."""
    await kubectl.ok("apply", "--server-side", "-f", "-", stdin=config_map(a="1"))
    other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    refused = await kubectl.run(*other, stdin=config_map(a="2"))
    assert refused.code == 1
    assert 'conflict with "kubectl"' in refused.err
    assert "serverside-applied" in await kubectl.ok(*other, "--force-conflicts", stdin=config_map(a="2"))


async def test_apply_refuses_unknown_fields(kubectl: Tool) -> None:
    """The server validates strictly when kubectl asks for it."""
    refused = await kubectl.run("apply", "-f", "-", stdin=deployment(replicaz=3))
    assert refused.code == 1
    assert 'unknown field "spec.replicaz"' in refused.err


async def test_diff_shows_what_apply_would_change(kubectl: Tool) -> None:
    """Exit code 1 with a difference, 0 without; nothing is changed."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="before"))
    found = await kubectl.run("diff", "-f", "-", stdin=config_map(a="after"))
    assert found.code == 1
    assert "+  a: after" in found.out
    assert (await kubectl.run("diff", "-f", "-", stdin=config_map(a="before"))).code == 0


async def test_wait_for_a_field(kubectl: Tool) -> None:
    """Of an object that has it already."""
    await kubectl.ok("apply", "-f", "-", stdin=deployment())
    assert "condition met" in await kubectl.ok("wait", "--for=jsonpath={.spec.replicas}=0", "deployment/web")


async def test_wait_for_the_end_of_an_object(kubectl: Tool) -> None:
    """By a watch."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1"))
    async with Running(kubectl, "wait", "--for=delete", "configmap/one", "--timeout=60s") as waiting:
        await kubectl.ok("delete", "configmap", "one")
        assert await waiting.line() in {"configmap/one condition met\n", ""}


async def test_annotate(kubectl: Tool) -> None:
    """Set and taken away."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1"))
    await kubectl.ok("annotate", "configmap", "one", "note=here")
    await kubectl.ok("annotate", "configmap", "one", "note-")
    metadata = json.loads(await kubectl.ok("get", "cm", "one", "-o", "json"))["metadata"]
    assert "note" not in metadata.get("annotations", {})


@pytest.mark.parametrize("how", ["merge", "json", "strategic"])
async def test_patch(kubectl: Tool, how: str) -> None:
    """In each of the three forms."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1"))
    patch = '[{"op":"add","path":"/data/b","value":"2"}]' if how == "json" else '{"data":{"b":"2"}}'
    await kubectl.ok("patch", "configmap", "one", "--type", how, "-p", patch)
    assert json.loads(await kubectl.ok("get", "cm", "one", "-o", "json"))["data"] == {"a": "1", "b": "2"}


async def test_scale(kubectl: Tool) -> None:
    """Through the scale subresource."""
    await kubectl.ok("apply", "-f", "-", stdin=deployment(paused=True))
    assert "scaled" in await kubectl.ok("scale", "deployment/web", "--replicas=2")
    assert await kubectl.ok("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "2"


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (("namespace", "contract-by-kubectl"), "namespace/contract-by-kubectl"),
        (("configmap", "two", "--from-literal=a=b"), "configmap/two"),
        (("secret", "generic", "two", "--from-literal=a=b"), "secret/two"),
        (("deployment", "two", "--image=example.invalid/web:1", "--replicas=0"), "deployment.apps/two"),
        (("serviceaccount", "two"), "serviceaccount/two"),
    ],
)
async def test_create(world: World, kubectl: Tool, arguments: tuple[str, ...], made: str) -> None:
    """By subcommand; kubectl sends these in protobuf."""
    assert await kubectl.ok("create", *arguments) == f"{made} created\n"
    assert await kubectl.ok("get", made, "-o", "name") == made + "\n"
    await world.kube.delete(NAMESPACES, "contract-by-kubectl")


async def test_a_secret_made_by_kubectl_keeps_its_bytes(kubectl: Tool) -> None:
    """Bytes in protobuf, base64 in JSON."""
    await kubectl.ok("create", "secret", "generic", "two", "--from-literal=a=bytes")
    assert await kubectl.ok("get", "secret", "two", "-o", "jsonpath={.data.a}") == "Ynl0ZXM="


async def test_delete(kubectl: Tool) -> None:
    """Waits until the object is gone."""
    await kubectl.ok("apply", "-f", "-", stdin=config_map(a="1"))
    assert "deleted" in await kubectl.ok("delete", "configmap", "one")
    assert "NotFound" in (await kubectl.run("get", "configmap", "one")).err


async def test_explain(kubectl: Tool) -> None:
    """A field with its type and text."""
    printed = await kubectl.ok("explain", "deployment.spec.replicas")
    assert "FIELD: replicas <integer>" in printed
    assert "Number of desired pods" in printed


async def test_explain_recursive(kubectl: Tool) -> None:
    """Down to fields of containers."""
    assert "imagePullPolicy" in await kubectl.ok("explain", "pod.spec", "--recursive")


async def test_explain_a_custom_kind(gadget: Tool) -> None:
    """By the schema of its definition."""
    printed = await gadget.ok("explain", "gadgets.spec.size")
    assert "FIELD: size <integer>" in printed
    assert "How big it is." in printed


async def test_printer_columns_of_a_custom_kind(gadget: Tool) -> None:
    """Paths with a filter, and an age."""
    heading, row = rows(await gadget.ok("get", "gd"))
    assert (heading, row[:3]) == (["NAME", "SIZE", "READY", "AGE"], ["one", "3", "True"])


async def test_wide_printer_columns_of_a_custom_kind(gadget: Tool) -> None:
    """Those of a priority above zero."""
    assert rows(await gadget.ok("get", "gd", "-o", "wide"))[0] == ["NAME", "SIZE", "READY", "MAKER", "AGE"]


async def test_unknown_fields_of_a_custom_kind_are_refused(gadget: Tool) -> None:
    """As of built-in ones."""
    wrong = {**GADGET, "metadata": {"name": "two"}, "spec": {"seize": 3}}
    refused = await gadget.run("create", "-f", "-", stdin=json.dumps(wrong))
    assert refused.code == 1
    assert 'unknown field "spec.seize"' in refused.err


async def test_auth_can_i(kubectl: Tool) -> None:
    """The service's own access may do everything."""
    assert await kubectl.ok("auth", "can-i", "delete", "pods") == "yes\n"


async def test_auth_can_i_list(kubectl: Tool) -> None:
    """All verbs on all resources."""
    assert ["*.*", "[]", "[]", "[*]"] in rows(await kubectl.ok("auth", "can-i", "--list"))


async def test_auth_whoami(kubectl: Tool) -> None:
    """Somebody."""
    assert "Username" in await kubectl.ok("auth", "whoami")


@pytest.fixture
async def in_velero(awake: World, programs: Programs) -> Tool:
    """kubectl where pods of the stack run."""
    return await programs.tool("kubectl", awake, "velero")


async def test_logs(in_velero: Tool) -> None:
    """What a container has written."""
    assert await in_velero.ok("logs", "statefulset/minio", "--tail=5")


async def test_logs_follow(in_velero: Tool) -> None:
    """Until the reader goes."""
    async with Running(in_velero, "logs", "--follow", "statefulset/minio") as following:
        assert await following.line()


async def test_port_forward(in_velero: Tool) -> None:
    """To a Service's pod; several connections one after the other."""
    async with Running(in_velero, "port-forward", "service/minio", ":9000") as forwarding:
        port = (await forwarding.line()).split("127.0.0.1:")[1].split()[0]
        for _ in range(3):
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{port}/") as response,
            ):
                assert response.status == 403
                assert "AccessDenied" in await response.text()

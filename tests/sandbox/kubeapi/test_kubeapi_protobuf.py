"""Objects in protobuf: read by their published numbers, refused when they cannot be read."""

import pytest

from app.sandbox.kubeapi.protobuf import MEDIA, Unreadable, decode
from tests.sandbox.kubeapi.conftest import Client


def field(number: int, content: bytes | int) -> bytes:
    """One field as it goes over the wire; short ones only."""
    if isinstance(content, int):
        return bytes([number << 3]) + varint(content)
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def envelope(kind: str, message: bytes, api_version: str = "v1") -> bytes:
    return b"k8s\x00" + field(1, field(1, api_version.encode()) + field(2, kind.encode())) + field(2, message)


def named(name: str, *more: bytes) -> bytes:
    return field(1, field(1, name.encode()) + b"".join(more))


async def test_an_object_is_created_from_protobuf(client: Client) -> None:
    """And answered in JSON."""
    body = envelope("ConfigMap", named("one") + field(2, field(1, b"key") + field(2, b"value")))
    created = await client.ok("POST", client.path("configmaps"), body, media=MEDIA)
    assert (created["metadata"]["name"], created["data"]) == ("one", {"key": "value"})


def test_bytes_become_base64() -> None:
    """Data of Secrets are bytes here and base64 in JSON."""
    secret = decode(envelope("Secret", named("one") + field(2, field(1, b"key") + field(2, b"\x00\xff"))))
    assert secret["data"] == {"key": "AP8="}


def test_times_and_empty_texts_that_were_never_set_are_dropped() -> None:
    """They are sent all the same."""
    metadata = named("one", field(2, b""), field(8, b""), field(11, field(1, b"a") + field(2, b"")))
    assert decode(envelope("ConfigMap", metadata))["metadata"] == {"name": "one", "labels": {"a": ""}}


def test_times_are_read() -> None:
    """Seconds since 1970."""
    found = decode(envelope("ConfigMap", named("one", field(8, field(1, 1_700_000_000)))))
    assert found["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"


def test_numbers_below_zero() -> None:
    """Sent as their complement of 64 bits."""
    found = decode(envelope("PriorityClass", named("one") + field(2, (1 << 64) - 7), "scheduling.k8s.io/v1"))
    assert found["value"] == -7


def test_fields_of_an_inner_message_belong_to_the_object() -> None:
    """A volume's source is a message of its own only in protobuf."""
    volume = field(1, b"scratch") + field(2, field(2, b""))
    found = decode(envelope("Pod", named("one") + field(2, field(1, volume))))
    assert found["spec"]["volumes"] == [{"name": "scratch", "emptyDir": {}}]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"k8s\x00", b"k8s\x00\xff", b"k8s\x00\x0a\x7f", envelope("Nonsense", b""),
        envelope("ConfigMap", b"\x0a\x05ab"), envelope("ConfigMap", field(1, field(1, b"\xff\xfe"))),
        envelope("ConfigMap", b"\x09" + bytes(8)), envelope("ConfigMap", field(1, 3)),
        envelope("ConfigMap", b"\xff" * 12),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_a_bad_request(client: Client, body: bytes) -> None:
    """Never a 500."""
    with pytest.raises(ValueError):  # noqa: PT011 - also of texts that are not UTF-8
        decode(body)
    assert await client.status("POST", client.path("configmaps"), body, media=MEDIA) == 400


def test_a_kind_that_is_not_in_the_table_is_named() -> None:
    """So that somebody can add it."""
    with pytest.raises(Unreadable, match="V1Node cannot be read"):
        decode(envelope("Node", named("one")))

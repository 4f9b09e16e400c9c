"""Where messages may go, when an address is given and when it is connected to."""

import pytest

from app.settings import Settings
from app.webhooks.addresses import Addresses, redacted_url
from app.webhooks.errors import WebhookAddressRefused

ALLOWED = ["hooks.test", "10.1.2.3", "203.0.113.7", "169.254.169.254", "fe80::1", "224.0.0.1"]


def resolving(*found: str) -> Addresses:
    """The rules, where every name has these addresses."""

    async def resolve(_name: str, _port: int) -> list[str]:
        return list(found)

    return Addresses(ALLOWED, resolve)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/hook", "http://127.9.9.9", "https://localhost/", "http://[::1]:80/x?y=z",
        "http://[::ffff:127.0.0.1]/", "http://LOCALHOST/", "http://hooks.test/", "https://Hooks.Test:8443/",
        "http://10.1.2.3/", "https://203.0.113.7/", "http://user:word@localhost/",
    ],
)  # fmt: skip
def test_this_machine_and_allowed_hosts_are_taken(url: str) -> None:
    """By name or by address, however they are written."""
    Addresses(ALLOWED).check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.2.4/", "http://example.com/", "http://hooks.test.example.com/", "http://localhost.example.com/",
        "http://127.0.0.1.example.com/", "http://2130706433/", "http://0x7f.1/", "http://127.1/",
        "http://user@example.com/", "http://localhost@example.com/", "http://203.0.113.7/",
    ],
)  # fmt: skip
def test_every_other_host_is_refused(url: str) -> None:
    """With what to do about it; odd spellings of loopback are no loopback, and http goes to no public address."""
    with pytest.raises(WebhookAddressRefused) as refusal:
        Addresses(ALLOWED).check(url)
    assert refusal.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        "", "hook", "//127.0.0.1/", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "http://",
        "http:///hook", "http://127.0.0.1:0/", "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "http://[::1/",
        "http://127.0.0.1/a b", "http://127.0.0.1/\r\nHost: x", "http://127.0.0.1\\@example.com/", "http://löcalhost/",
        "http://127.0.0.1/" + "a" * 2048, "http://***@127.0.0.1/",
    ],
)  # fmt: skip
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(WebhookAddressRefused):
        Addresses(ALLOWED).check(url)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254", "[fe80::1]", "[fe80::1%25eth0]", "0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]",  # noqa: S104
        "255.255.255.255", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
    ],
)  # fmt: skip
def test_special_addresses_are_refused_even_where_a_setting_names_them(host: str) -> None:
    """Link-local (the metadata of clouds), multicast and unspecified, also in the clothes of IPv6."""
    with pytest.raises(WebhookAddressRefused, match="nothing is ever sent"):
        Addresses([*ALLOWED, host.strip("[]")]).check(f"https://{host}/")


@pytest.mark.parametrize(
    "found",
    [
        ["169.254.169.254"], ["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["10.0.0.1", "127.0.0.1"],
        ["10.0.0.1", "fe80::1"], ["::"], ["203.0.113.7"], ["10.0.0.1", "203.0.113.7"],
    ],
)  # fmt: skip
async def test_a_name_that_rebinds_is_refused_at_connect(found: list[str]) -> None:
    """One wrong address among those a name has is enough."""
    rules = resolving(*found)
    rules.check("http://hooks.test/")
    with pytest.raises(WebhookAddressRefused, match=r"hooks\.test"):
        await rules.resolve("http://hooks.test/")


async def test_localhost_is_this_machine_or_nothing() -> None:
    """A resolver that says otherwise is not followed."""
    with pytest.raises(WebhookAddressRefused, match="another machine"):
        await resolving("127.0.0.1", "10.0.0.1").resolve("http://localhost/")


async def test_the_connection_goes_to_the_checked_addresses() -> None:
    """The name is left for the Host header and for TLS."""
    destination = await resolving("203.0.113.7", "2001:db8::7").resolve("https://user:pa%20ss@hooks.test:8443/a?b=c#d")
    urls = [destination.url(address) for address in destination.addresses]
    assert urls == ["https://203.0.113.7:8443/a?b=c", "https://[2001:db8::7]:8443/a?b=c"]
    assert (destination.host_header, destination.server_name) == ("hooks.test:8443", "hooks.test")
    assert destination.credentials == ("user", "pa ss")
    assert "pa ss" not in repr(destination)


@pytest.mark.parametrize(
    "url",
    ["ftp://user:hunter2@127.0.0.1/", "http://user:hun/ter2@127.0.0.1/", "http://user:hunter2@example.com/", "hunter2"],
)
def test_a_refusal_never_repeats_a_password(url: str) -> None:
    """Not even where it stands in the wrong place."""
    with pytest.raises(WebhookAddressRefused) as refusal:
        Addresses(ALLOWED).check(url)
    assert "ter2" not in str(refusal.value.problem())


def test_user_and_password_are_redacted_together() -> None:
    """A user's name may be a token."""
    assert redacted_url("https://token@a.test/x@y?z=1") == "https://***@a.test/x@y?z=1"
    assert redacted_url("https://user:pass@word@a.test") == "https://***@a.test"
    assert redacted_url("http://127.0.0.1:1/x") == "http://127.0.0.1:1/x"


def test_allowed_hosts_are_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list in JSON, as a refusal says."""
    monkeypatch.setenv("KECS_STATE_WEBHOOKS__ALLOWED_HOSTS", '["Hooks.Test"]')
    Addresses(Settings().webhooks.allowed_hosts).check("http://hooks.test/")

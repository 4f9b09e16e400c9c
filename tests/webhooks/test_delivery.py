"""Delivering over real sockets: what is heard, what is tried again, and what is never sent."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime

import pytest

from app.jobs.states import JobStatus
from app.queries import now
from app.sandbox.ports import free_port
from app.webhooks.addresses import Addresses
from app.webhooks.messages import EventType
from app.webhooks.models import Delivery, Endpoint
from app.webhooks.queue import MAX_ATTEMPTS, PAUSES, Message, Outcome
from tests.databases import ON_BOTH_DATABASES
from tests.waiting import eventually
from tests.webhooks.conftest import Office
from tests.webhooks.receiver import Answer, Receiver, listening

DOWN = Outcome(status=503)


async def queued(office: Office, url: str) -> tuple[Endpoint, Message]:
    """An endpoint, and a message that waits for it."""
    endpoint = await office.endpoint(url, EventType.JOB_STARTED)
    await office.job()
    message = await office.queue.next([])
    assert message is not None
    return endpoint, message


def pause(delivery: Delivery) -> timedelta:
    """How long until the next attempt."""
    return delivery.next_attempt_at - now()


async def test_a_message_arrives_as_it_was_written(office: Office, receiver: Receiver) -> None:
    """Signed, at once, byte for byte."""
    endpoint = await office.endpoint(receiver.url("/hook?a=b"), EventType.JOB_STARTED)
    async with office.delivering():
        job = await office.job()
        (got,) = await receiver.has(1)
        delivery = await office.settled("delivered")
    assert got.verified(endpoint.secret)["data"]["job"]["id"] == job.id
    assert (got.body.decode(), got.id, got.target) == (delivery.body, delivery.id, "/hook?a=b")
    assert (delivery.last_status, delivery.delivered_at is not None) == (204, True)


async def test_a_callback_is_signed_with_the_services_own_secret(office: Office, receiver: Receiver) -> None:
    """User and password of its URL are sent as basic auth."""
    async with office.delivering():
        await office.job(callback_url=receiver.url(user_info="me:hunter%202@"))
        (got,) = await receiver.has(1)
    assert got.verified(office.secret)["type"] == "job.started"
    assert got.headers["authorization"] == "Basic bWU6aHVudGVyIDI="
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


async def test_a_second_attempt_has_the_same_id_and_another_time(office: Office, receiver: Receiver) -> None:
    """Some five seconds after the first; both are verified."""
    receiver.answers = [Answer(500)]
    async with office.delivering():
        endpoint = await office.endpoint(receiver.url(), EventType.JOB_STARTED)
        await office.job()
        first, second = await receiver.has(2)
        await office.settled("delivered", attempts=2)
    assert first.id == second.id
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) in range(4, 8)
    assert first.verified(endpoint.secret) == second.verified(endpoint.secret)


@ON_BOTH_DATABASES
async def test_the_schedule_is_kept_and_ends(office: Office) -> None:
    """Nine pauses from seconds to a day, each with some jitter, then the delivery has failed."""
    _, message = await queued(office, "http://127.0.0.1:1/")
    for nominal in PAUSES:
        assert await office.queue.record(message, DOWN) == "pending"
        (delivery,) = await office.deliveries()
        assert nominal * 0.89 < pause(delivery) < min(nominal * 1.11, timedelta(hours=24.01))
    assert await office.queue.record(message, DOWN) == "failed"
    (delivery,) = await office.deliveries()
    assert (delivery.attempts, delivery.last_status) == (MAX_ATTEMPTS, 503)
    assert await office.queue.next([]) is None


def in_seconds(hours: int) -> str:
    return str(hours * 3600)


def as_a_date(hours: int) -> str:
    """Reckoned from the test's own time: the whole suite is read an hour before its last test runs."""
    return format_datetime(now() + timedelta(hours=hours), usegmt=True)


@pytest.mark.parametrize(
    ("said", "asked", "hours"),
    [(in_seconds, 2, 2), (in_seconds, 10**6, 24), (as_a_date, 3, 3), (lambda _: "soon", 0, 0)],
    ids=["seconds", "too-long", "date", "unreadable"],
)
async def test_retry_after_is_honoured_up_to_a_day(
    office: Office, receiver: Receiver, said: Callable[[int], str], asked: int, hours: int
) -> None:
    """As seconds or as a date; what cannot be read is ignored."""
    receiver.always = Answer(429, {"Retry-After": said(asked)})
    await queued(office, receiver.url())
    async with office.delivering():
        delivery = await office.settled("pending", attempts=1)
    assert abs(pause(delivery) - timedelta(hours=hours)) < timedelta(seconds=60)


async def test_gone_disables_the_endpoint(office: Office, receiver: Receiver) -> None:
    """410 means that nobody listens there any more; other answers do not."""
    receiver.always = Answer(410)
    endpoint, _ = await queued(office, receiver.url())
    async with office.delivering():
        await office.settled("failed")
    after = await office.webhooks.get(endpoint.id)
    assert after.disabled_at is not None
    assert after.disabled_reason == "the receiver answered 410 Gone"


async def test_gone_from_the_address_of_before_disables_nothing(office: Office) -> None:
    """The endpoint was moved while the message was on its way; it is sent to the new address at once."""
    endpoint, message = await queued(office, "http://127.0.0.1:1/")
    await office.webhooks.change(endpoint.id, {"url": "http://127.0.0.1:2/"})
    assert await office.queue.record(message, Outcome(status=410)) == "pending"
    assert (await office.webhooks.get(endpoint.id)).disabled_at is None
    (delivery,) = await office.deliveries()
    assert pause(delivery) <= timedelta(0)


async def test_redirects_are_not_followed(office: Office, receiver: Receiver) -> None:
    """They could lead anywhere; the delivery says why it was not heard."""
    receiver.always = Answer(307, {"Location": receiver.url("/elsewhere")})
    await queued(office, receiver.url())
    async with office.delivering():
        delivery = await office.settled("pending", attempts=1)
    assert [got.target for got in receiver.got] == ["/hook"]
    assert (delivery.last_status, "redirects are not followed" in delivery.last_error) == (307, True)


async def test_nothing_is_sent_to_a_name_that_rebinds(office: Office, receiver: Receiver) -> None:
    """An allowed name that means this machine by the time of the connection; the refusal is recorded."""

    async def rebound(_name: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    office.addresses = Addresses(["hooks.test"], rebound)
    office.__post_init__()
    await queued(office, receiver.url(host="hooks.test"))
    async with office.delivering():
        delivery = await office.settled("pending", attempts=1)
    assert receiver.got == []
    assert "'hooks.test' means 127.0.0.1 now" in delivery.last_error


async def test_localhost_is_tried_at_every_address_it_has(office: Office, receiver: Receiver) -> None:
    """The receiver listens on one of them only; the Host header keeps the name."""

    async def both(_name: str, _port: int) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    office.addresses = Addresses([], both)
    await queued(office, receiver.url(host="localhost"))
    async with office.delivering():
        (got,) = await receiver.has(1)
    assert got.headers["host"] == f"localhost:{receiver.port}"


async def test_a_receiver_that_is_down_or_silent_is_a_failed_attempt(office: Office, receiver: Receiver) -> None:
    """With a reason that a person understands; its password is in none of it."""

    async def both_tried() -> bool:
        return [delivery.attempts for delivery in await office.deliveries()] == [1, 1]

    receiver.always = Answer(seconds=30)
    await office.job("silent", callback_url=receiver.url(user_info="me:hunter2@"))
    await office.job("down", callback_url=f"http://me:hunter2@127.0.0.1:{free_port()}/")
    async with office.delivering(timeout_seconds=0.5):
        await eventually(both_tried)
    silent, down = await office.deliveries()
    assert silent.last_error == "no answer within 0.5 s"
    assert down.last_error.startswith("cannot connect to 127.0.0.1 port")


async def test_an_endless_answer_is_not_read(office: Office, receiver: Receiver) -> None:
    """The status has said everything."""
    receiver.always = Answer(200, body=b"x" * 50_000_000)
    await queued(office, receiver.url())
    async with office.delivering(timeout_seconds=2):
        delivery = await office.settled("delivered")
    assert delivery.last_status == 200


@ON_BOTH_DATABASES
async def test_a_slow_receiver_holds_no_other_up(office: Office, receiver: Receiver) -> None:
    """It gets one message at a time, however many wait for it."""
    async with listening(Receiver(always=Answer(seconds=30))) as slow, office.delivering():
        endpoint = await office.endpoint(slow.url())
        for _ in range(6):
            await office.webhooks.send_test(endpoint.id)
        await slow.has(1)
        await office.webhooks.send_test((await office.endpoint(receiver.url())).id)
        await receiver.has(1)
        assert len(slow.got) == 1


async def test_at_most_four_messages_are_on_their_way(office: Office, receiver: Receiver) -> None:
    """The others follow as soon as one of those has ended."""
    receiver.always = Answer(seconds=0.3)
    for _ in range(6):
        await office.webhooks.send_test((await office.endpoint(receiver.url())).id)
    async with office.delivering():
        await receiver.has(6)
    assert receiver.most_at_once == 4


async def test_many_messages_go_out_in_turn(office: Office, receiver: Receiver) -> None:
    """Each receiver hears in the order in which it happened."""
    await office.endpoint(receiver.url())
    jobs = [await office.job(f"demo{number}") for number in range(10)]
    async with office.delivering():
        for job in jobs:
            await office.jobs.finish(job.id, JobStatus.CANCELLED)
        await receiver.has(20)
    assert [got.id for got in receiver.got] == [delivery.id for delivery in await office.deliveries()]
    assert receiver.most_at_once == 1


async def test_what_was_in_flight_at_the_end_is_sent_by_the_next_process(office: Office, receiver: Receiver) -> None:
    """The end comes within seconds, and nothing is lost by it."""
    receiver.answers = [Answer(seconds=30)]
    await queued(office, receiver.url())
    async with office.delivering():
        await receiver.has(1)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    async with office.delivering():
        first, second = await receiver.has(2)
        await office.settled("delivered")
    assert first.id == second.id


async def test_nothing_is_sent_to_an_endpoint_deleted_meanwhile(office: Office, receiver: Receiver) -> None:
    """Its messages go with it; one that is on its way leaves no trace."""
    endpoint, message = await queued(office, receiver.url())
    await office.webhooks.delete(endpoint.id)
    async with office.delivering():
        await asyncio.sleep(0.3)
    assert await office.queue.record(message, DOWN) == ""
    assert (receiver.got, await office.deliveries()) == ([], [])


@ON_BOTH_DATABASES
async def test_what_waits_for_a_disabled_endpoint_goes_out_when_it_is_enabled(
    office: Office, receiver: Receiver
) -> None:
    """Not before, and then without waiting for its schedule."""
    endpoint, message = await queued(office, receiver.url())
    await office.queue.record(message, Outcome(status=503, retry_after=timedelta(hours=9)))
    await office.webhooks.change(endpoint.id, {"enabled": False})
    async with office.delivering():
        await asyncio.sleep(0.3)
        assert receiver.got == []
        await office.webhooks.change(endpoint.id, {"enabled": True})
        await receiver.has(1)


async def test_a_replaced_secret_signs_along_for_a_day(office: Office, receiver: Receiver) -> None:
    """Both verify the message; after a day only the new one signs."""
    old = await office.endpoint(receiver.url())
    new = await office.webhooks.rotate_secret(old.id)
    await office.webhooks.send_test(old.id)
    async with office.delivering():
        (got,) = await receiver.has(1)
    assert got.verified(old.secret) == got.verified(new.secret)
    assert new.previous_secret_until is not None
    assert abs(new.previous_secret_until - now() - timedelta(hours=24)) < timedelta(minutes=1)
    await office.webhooks.change(old.id, {"previous_secret_until": now()})
    await office.webhooks.send_test(old.id)
    message = await office.queue.next([])
    assert message is not None
    assert message.signers == [new.secret]

"""What a page from elsewhere can do to the service in the browser of somebody who uses it: nothing.

Every attack is also made on a server that guards nothing, where each succeeds: so it is the guards that stop it here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import BrowserContext, Page

from tests.api.serving import ServedApi, served_api
from tests.browser.conftest import ATTACKER

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SECRET = "what only its own page may read"
#: Another port of the same machine is another origin of the same site; a name of the attacker's is another site.
PLACES = ["127.0.0.1", ATTACKER]

#: Whether each way to reach ``target`` has worked. What a page may send without asking first is sent in each form.
ATTACKS = """async (target) => {
  const done = (promise) => promise.then(() => true, () => false);
  const within = (start) => new Promise((resolve) => { setTimeout(resolve, 5000, false); start(resolve); });
  const element = (tag, values) => within((resolve) => {
    document.body.append(Object.assign(document.createElement(tag),
      { onload: () => resolve(true), onerror: () => resolve(false), ...values }));
  });
  const read = (path, options) => fetch(target + path, options).then((answer) => answer.text()).then(
    (text) => text.length > 0, () => false);
  const post = (body, type) => fetch(target + "/instances/demo/stop", { method: "POST", mode: "no-cors", body,
    headers: type ? { "Content-Type": type } : {} });
  const form = new FormData();
  form.append("mode", "skip");
  const worked = {
    "read jobs": await read("/jobs"),
    "read the dashboard": await read("/"),
    "post JSON and read": await read("/webhooks", { method: "POST", body: '{"url": "http://127.0.0.1:9/"}',
      headers: { "Content-Type": "application/json" } }),
    "delete and read": await read("/webhooks/1", { method: "DELETE" }),
    "load without reading": await done(fetch(target + "/jobs", { mode: "no-cors" })),
    "image": await element("img", { src: target + "/dashboard/icon.svg" }),
    "script": await element("script", { src: target + "/dashboard/main.js" }),
    "events": await within((resolve) => {
      const events = new EventSource(target + "/events");
      events.onopen = () => { events.close(); resolve(true); };
      events.onerror = () => { events.close(); resolve(false); };
    }),
    "websocket": await within((resolve) => {
      const socket = new WebSocket(target.replace("http", "ws") + "/events");
      socket.onopen = () => { socket.close(); resolve(true); };
      socket.onerror = () => resolve(false);
    }),
  };
  await done(post("{}", "text/plain"));
  await done(post("{}"));
  await done(post("mode=skip", "application/x-www-form-urlencoded"));
  await done(post(form));
  navigator.sendBeacon(target + "/instances/demo/stop", "{}");
  return worked;
}"""
#: A form that a page sends by itself, its answer in a frame.
FORM = """([target, enctype]) => new Promise((resolve) => {
  const frame = Object.assign(document.createElement("iframe"), { name: "answer" + enctype });
  const form = Object.assign(document.createElement("form"),
    { method: "post", action: target + "/instances/demo/stop", enctype, target: frame.name });
  form.append(Object.assign(document.createElement("input"), { name: '{"a":"', value: '"}' }));
  document.body.append(frame, form);
  frame.onload = () => { frame.remove(); resolve(); };
  form.submit();
})"""
FRAME = """(target) => new Promise((resolve) => document.body.append(Object.assign(
  document.createElement("iframe"), { src: target + "/", name: "dashboard", onload: () => resolve() })))"""
OPEN = "(target) => { location = target + '/'; }"


@dataclass
class Unguarded:
    """A server that answers everybody, and what it was asked to do."""

    url: str = ""
    posted: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """As a service that never thought of browsers would."""
        if request.headers.get("Upgrade") == "websocket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.close()
            return socket
        if request.method == "POST":
            self.posted.append(request.content_type)
        allowed = {"Access-Control-Allow-" + what: "*" for what in ("Origin", "Headers", "Methods")}
        types = {
            "/dashboard/icon.svg": "image/svg+xml",
            "/events": "text/event-stream",
            "/dashboard/main.js": "text/javascript",
        }
        texts = {
            "/dashboard/icon.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>',
            "/events": ":\n\n",
        }
        text = texts.get(request.path, f"/* {SECRET} */")
        return web.Response(text=text, content_type=types.get(request.path, "text/html"), headers=allowed)


@asynccontextmanager
async def serving(server: Unguarded) -> AsyncIterator[Unguarded]:
    """The server, on a port of its own."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="session")
async def unguarded() -> AsyncIterator[Unguarded]:
    """What every attack works on."""
    async with serving(Unguarded()) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def service(tmp_path: Path) -> AsyncIterator[ServedApi]:
    """The service attacked."""
    async with served_api(tmp_path) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session", params=PLACES)
async def hostile(context: BrowserContext, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A page of the attacker's."""
    async with serving(Unguarded()) as server:
        page = await context.new_page()
        await page.goto(server.url.replace("127.0.0.1", request.param))
        yield page


async def traces(service: ServedApi) -> list[Any]:
    """Everything a request could have made."""
    made = [(await service.client.get(path)).json() for path in ("/jobs", "/webhooks", "/audit")]
    return [*made, await service.app.state.services.tokens.list()]


async def test_another_page_can_neither_read_nor_start_anything(
    hostile: Page, service: ServedApi, unguarded: Unguarded
) -> None:
    """By no kind of request, element or stream."""
    before = await traces(service)
    worked = await hostile.evaluate(ATTACKS, service.url)
    for enctype in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded"):
        await hostile.evaluate(FORM, [service.url, enctype])
    assert {way for way, success in worked.items() if success} == set()
    assert await traces(service) == before

    worked = await hostile.evaluate(ATTACKS, unguarded.url)
    for enctype in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded"):
        await hostile.evaluate(FORM, [unguarded.url, enctype])
    assert {way for way, success in worked.items() if not success} == set()
    assert len(unguarded.posted) == 9
    assert set(unguarded.posted) == {
        "application/json", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded",
    }  # fmt: skip


async def test_the_dashboard_cannot_be_framed(hostile: Page, service: ServedApi, unguarded: Unguarded) -> None:
    """Nobody can be made to click on it unseen."""
    for target, shown in ((service.url, False), (unguarded.url, True)):
        await hostile.evaluate(FRAME, target)
        frame = hostile.frames[-1]
        assert (frame.url == f"{target}/") is shown
        assert (SECRET in await frame.content()) is shown
        await hostile.evaluate("() => document.querySelector('iframe').remove()")


async def test_a_link_from_another_page_is_refused(hostile: Page, service: ServedApi) -> None:
    """A GET that a page of somebody else's sends the whole window to; typed by hand it works."""
    async with hostile.expect_navigation() as navigation:
        await hostile.evaluate(OPEN, service.url)
    answer = await navigation.value
    assert answer is not None
    assert answer.status == 403
    assert (await answer.json())["code"] == "cross-site-refused"
    typed = await hostile.goto(service.url)
    assert typed is not None
    assert typed.status == 200


async def test_a_name_that_now_means_this_machine_is_not_served(
    context: BrowserContext, service: ServedApi, unguarded: Unguarded
) -> None:
    """DNS rebinding: for the browser the attacker's page and the service are of one origin."""
    page = await context.new_page()
    ask = "(path) => fetch(path, { method: path === '/jobs' ? 'GET' : 'POST' }).then((answer) => answer.status)"
    before = await traces(service)
    for url, status in ((service.url, 421), (unguarded.url, 200)):
        shown = await page.goto(url.replace("127.0.0.1", ATTACKER))
        assert shown is not None
        assert shown.status == status
        assert [await page.evaluate(ask, path) for path in ("/jobs", "/instances/demo/stop")] == [status, status]
    assert await traces(service) == before
    assert len(unguarded.posted) == 1


#: The same requests as a page makes of its own service.
OWN = """async () => {
  const status = (path, options) => fetch(path, options).then((answer) => answer.status);
  const events = new EventSource("/events");
  const opened = await new Promise((resolve) => {
    events.onopen = () => resolve(true);
    events.onerror = () => resolve(false);
  });
  events.close();
  return [opened, await status("/jobs"), await status("/instances/demo/stop", { method: "POST" }),
    await status("/webhooks", { method: "POST", body: '{"url": "http://127.0.0.1:9/"}',
      headers: { "Content-Type": "application/json" } })];
}"""


async def test_its_own_page_in_the_same_browser_can(context: BrowserContext, service: ServedApi) -> None:
    """Follow, read and start."""
    page = await context.new_page()
    await page.goto(service.url)
    assert await page.evaluate(OWN) == [True, 200, 202, 201]
    assert len((await service.client.get("/jobs")).json()["jobs"]) == 1
    assert len((await service.client.get("/webhooks")).json()["webhooks"]) == 1

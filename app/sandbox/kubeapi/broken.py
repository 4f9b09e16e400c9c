"""What a fault switch does to a request of somebody outside of the cluster.

``how`` of a rule is one of: ``status`` (a refusal with the rule's code, reason and message), ``hang``, ``slow`` (for
``seconds``), ``reset`` (no answer), ``lost`` (done, but without an answer), ``half`` (the answer is cut off in its
middle), ``garbage`` (a page of HTML with status 200), ``expired`` (a watch that ends with 410), ``half-line`` (a watch
that ends within an event).
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from app.sandbox.apiclient import USER_AGENT
from app.sandbox.faults import Rule, Rules
from app.sandbox.kubeapi.failures import Failure, expired
from app.sandbox.kubeapi.objects import encode
from app.sandbox.kubeapi.requests import flag

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def rule_for(rules: Rules, request: web.Request) -> Rule | None:
    """The rule a request falls under; the cluster's own components never fall under one."""
    if request.headers.get("User-Agent") == USER_AGENT:
        return None
    watches = request.method == "GET" and flag(request.query, "watch")
    return rules.meet("WATCH" if watches else request.method, request.path)


async def broken(rule: Rule, request: web.Request, answer: Answer) -> web.StreamResponse:
    """The answer as the rule spoils it. Raises ValueError for a way that does not exist."""
    if rule.how in {"slow", "hang"}:
        await asyncio.sleep(rule.seconds)
    if rule.how in {"slow", "lost", "half"}:
        whole = await answer(request)
        return whole if rule.how == "slow" else await _cut_off(rule, request, whole)
    match rule.how:
        case "status":
            raise Failure(rule.code, rule.reason, rule.message)
        case "hang" | "reset":
            return _cut(request)
        case "garbage":
            return web.Response(text="<html>Sign in to this network</html>", content_type="text/html")
        case "expired":
            failure = expired("too old resource version")
            return await _one_line(request, encode({"type": "ERROR", "object": failure.status()}) + "\n")
        case "half-line":
            return await _one_line(request, '{"type":"MODIFIED","object":{"kind":"Ba')
    raise ValueError(f"unknown fault {rule.how!r}")


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut_off(rule: Rule, request: web.Request, whole: web.StreamResponse) -> web.StreamResponse:
    if rule.how == "lost" or not isinstance(whole, web.Response) or not isinstance(whole.body, bytes):
        return _cut(request)
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole.body))})
    await response.prepare(request)
    await response.write(whole.body[: len(whole.body) // 2])
    _cut(request)
    return response


async def _one_line(request: web.Request, line: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(line.encode())
    await response.write_eof()
    return response

"""The policy of an instance from the command line."""

import json

from tests.api.serving import ServedApi
from tests.cli.commands import command


async def test_a_policy_is_shown_set_and_unset(api: ServedApi) -> None:
    """What is not named stays as it was."""
    shown = await command(api.url, "policy", "demo")
    assert "keep_last 5 setting" in " ".join(shown.out.split())
    arguments = ("--set", "keep_last=2", "--set", "exclude_namespaces=a,b-*", "--set", "use_velero_backup=true")
    changed = json.loads((await command(api.url, "policy", "demo", *arguments, "--json")).out)
    assert (changed["set"]["exclude_namespaces"], changed["set"]["use_velero_backup"]) == (["a", "b-*"], True)
    shown = await command(api.url, "policy", "demo", "--unset", "use_velero_backup", "--set", "validate=quick")
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert {"keep_last 2 policy", "use_velero_backup true rollout", "validate quick policy"} <= set(lines)
    assert "exclude_namespaces a,b-* policy" in lines


async def test_what_cannot_be_set_is_named(api: ServedApi) -> None:
    """By the service, with exit 1; what is no KEY=VALUE by the command, with exit 2."""
    refused = await command(api.url, "policy", "demo", "--set", "keep_lost=2")
    assert (refused.code, "keep_lost" in refused.err) == (1, True)
    assert (await command(api.url, "policy", "demo", "--set", "keep_last")).code == 2

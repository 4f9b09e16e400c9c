"""One run of everything at debug level with a known value in every secret, and then a search for those values."""

import asyncio
import base64
import json
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app.host.credentials import parse_credentials
from app.kubernetes.resources import SECRETS
from tests.instances import NAME
from tests.product import Product, sandbox_product
from tests.secrets.canaries import PLACES, found_in, leaks, new_canary
from tests.webhooks.receiver import Answer, Receiver, listening

WATCHED = Path(__file__).parent / "watched"
#: Every reading operation without a parameter but the endless stream of events.
LISTS = [
    "/audit",
    "/doctor",
    "/health",
    "/images",
    "/instances",
    "/jobs",
    "/metrics",
    "/stats",
    "/version",
    "/webhooks",
]
OF_THE_INSTANCE = ["", "/backups", "/policy", "/preflight", "/stats", "/migration"]


@dataclass
class Run:
    """What one product did and showed."""

    product: Product
    receiver: Receiver
    notes: Path
    temporary: Path
    canaries: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    arguments: set[bytes] = field(default_factory=set)

    @property
    def noted(self) -> list[tuple[str, str]]:
        """What the audit hook of the service wrote down."""
        return [tuple(json.loads(line)) for line in self.notes.read_text().splitlines()]

    async def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """POST; the answer is kept."""
        answer = await self.product.service.post(path, body)
        self.answers.append(answer.text)
        parsed: dict[str, Any] = answer.json()
        return parsed

    async def job(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """An operation to its end; the job and its journal are kept."""
        job = await self.product.service.ended((await self.ask(path, body))["id"])
        await self.look([f"/jobs/{job['id']}", f"/jobs/{job['id']}/events"])
        return job

    async def look(self, paths: list[str]) -> None:
        """GET; the answers are kept."""
        for path in paths:
            self.answers.append((await self.product.service.client.get(path)).text)

    async def sample_arguments(self) -> None:
        """The arguments of every process of this machine, many times while the product works."""
        while True:
            self.arguments |= await asyncio.to_thread(arguments_now)
            await asyncio.sleep(0.2)


def arguments_now() -> set[bytes]:
    """Of all processes; one that has just ended has none."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.add(path.read_bytes())
        except OSError:
            continue
    return found


@asynccontextmanager
async def watched_product(directory: Path, receiver: Receiver) -> AsyncIterator[Run]:
    """A product under the audit hook, with a temporary directory of its own and umask 0."""
    notes, temporary = directory / "notes.jsonl", directory / "tmp"
    notes.touch()
    temporary.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(WATCHED))
        patch.setenv("NOTES_OF_THE_WATCHED", str(notes))
        patch.setenv("TMPDIR", str(temporary))
        async with sandbox_product(directory / "home", LOG_LEVEL="debug", LOG_FORMAT="json") as product:
            yield Run(product, receiver, notes, temporary)


async def show_a_token(run: Run) -> None:
    """From here on the service asks for one."""
    command = [sys.executable, "-m", "app.cli.main", "token", "create", "ci", "--sandbox", "--state-dir"]
    made = await asyncio.create_subprocess_exec(
        *command, str(run.product.state_dir), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    run.canaries["bearer token"] = (await made.communicate())[0].decode().strip()
    run.product.service.client.headers["Authorization"] = f"Bearer {run.canaries['bearer token']}"
    await run.product.service.serve_with(SERVER__REQUIRE_TOKEN="true")


async def put_a_secret_into_the_cluster(run: Run) -> None:
    """As a user of KECS would."""
    run.canaries["Secret of the cluster"] = secret = new_canary()
    body = {"metadata": {"name": "canary"}, "data": {"password": base64.b64encode(secret.encode()).decode()}}
    async with run.product.kube() as kube:
        await kube.create(SECRETS, body, "default")


async def use_everything(run: Run) -> None:
    """Webhooks that fail and succeed, a job of every kind, one that fails, a crash, and requests that are refused."""
    run.canaries |= {name: new_canary() for name in ("webhook password", "callback password", "refused value")}
    url, callback = (
        run.receiver.url(user_info=f"me:{quote(run.canaries[f'{whose} password'], safe='')}@")
        for whose in ("webhook", "callback")
    )
    run.receiver.answers = [Answer(500)]
    registered = (await run.product.service.post("/webhooks", {"url": url})).json()
    run.canaries["webhook secret"] = registered["secret"].removeprefix("whsec_")
    here = f"/instances/{NAME}"
    await run.job(f"{here}/backups", {"callback_url": callback})
    run.product.faults(backup_phase="Failed")
    await run.job(f"{here}/backups", {"callback_url": callback})
    run.product.faults()
    await run.look([f"{here}{path}" for path in OF_THE_INSTANCE])
    stop = await run.job(f"{here}/stop", {"callback_url": callback})
    backup = f"{here}/backups/{stop['result']['backup']}"
    await run.product.service.kill()
    await run.product.service.start()
    await run.job(f"{here}/start")
    await run.product.recreate()
    await run.job(f"{here}/start", {"callback_url": callback})
    await run.job(f"{backup}/validate")
    refused = run.canaries["refused value"]
    await run.ask("/webhooks", {"url": f"http://me:{quote(refused, safe='')}@elsewhere.example/"})
    await run.ask(f"{here}/stop", {"password": refused, "backup": {"ttl": refused}})
    details = [backup, f"{backup}/contents", f"{backup}/logs", f"{backup}/results"]
    await run.look([*LISTS, *details, f"/webhooks/{registered['id']}/deliveries"])


def learn_what_was_generated(run: Run) -> None:
    """The secrets that the product made itself."""
    home = run.product.state_dir
    private = home / "instances" / NAME / "velero-config"
    keys = parse_credentials((private / "credentials").read_bytes(), private, remedy="")
    user = run.product.instance.access().kubeconfig["users"][0]["user"]
    run.canaries |= {
        "MinIO access key": keys.access_key,
        "MinIO secret key": keys.secret_key,
        "repository password": (private / "repository-password").read_text().strip(),
        "callback secret": (home / "state" / "webhook-secret").read_text().strip().removeprefix("whsec_"),
        "kubeconfig token": user["token"],
    }


@pytest.mark.timeout(240)
async def test_no_secret_is_anywhere_but_in_its_place(tmp_path: Path) -> None:
    """Log, database, journal, answers, metrics, messages, arguments, temporary files; and each place is private."""
    async with listening(Receiver()) as receiver, watched_product(tmp_path, receiver) as run:
        sampling = asyncio.create_task(run.sample_arguments())
        await show_a_token(run)
        await put_a_secret_into_the_cluster(run)
        await use_everything(run)
        sampling.cancel()
        learn_what_was_generated(run)
        check_contents(run)
        check_modes(run)


def check_contents(run: Run) -> None:
    """Nothing but the places that are listed holds a canary, in any form."""
    home = run.product.state_dir
    log = run.product.service.log.read_text()
    assert log.count("debug") > 10, "a run at debug level that says nothing proves nothing"
    assert list(leaks(home, run.canaries)) == []
    assert list(leaks(run.temporary, run.canaries)) == []
    assert found_in("\n".join(run.answers).encode(), run.canaries) == set()
    assert len(run.receiver.got) > 5
    assert found_in(b"\n".join(got.body for got in run.receiver.got), run.canaries) == set()
    assert found_in(b"\n".join(run.arguments), run.canaries) == set()
    assert found_in(run.notes.read_bytes(), run.canaries) == set()
    assert any("app.sandbox" in value for what, value in run.noted if what == "program")


def check_modes(run: Run) -> None:
    """With umask 0: what the service made is private by the mode it was made with, none was changed afterwards."""
    home, data = run.product.state_dir, run.product.bucket.parent
    made = [path for top in ("state", f"instances/{NAME}") for path in (home / top).rglob("*")]
    # KECS's own directory is KECS's business, but for the one in it that is made for MinIO.
    ours = [run.product.bucket, *(path for path in made if not path.is_symlink() and not path.is_relative_to(data))]
    open_to_others = [str(path) for path in ours if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert open_to_others == []
    noted = [value for what, value in run.noted if what in {"chmod", "open"}]
    assert [value for value in noted if not value.startswith((str(home / "clusters"), "/dev/"))] == []
    for place in PLACES:
        files = [path for path in home.glob(place.path) if place.mode is not None]
        assert files or place.mode is None, f"no {place.path}: the list of places is out of date"
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} <= {place.mode}

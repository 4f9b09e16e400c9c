"""One Chromium and one sandbox instance for all tests here; a page of its own for each."""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright, expect

from tests.product import Product, sandbox_product

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: The first lets it run as root, as CI does; the others keep it from asking anybody for anything.
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
#: A name that means this machine to the browser alone: a page from elsewhere, or one whose name was made to mean it.
ATTACKER = "attacker.test"
#: How long anything on a page may take; machines are slow at times, and nothing waits longer than it must.
WAIT_MS = 20_000


def chromium() -> str:
    """The program; without one the test is skipped, or in CI fails."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    if os.environ.get("CI"):
        raise FileNotFoundError(f"CI must have one of {', '.join(PROGRAMS)}")
    pytest.skip(f"none of {', '.join(PROGRAMS)} is installed")


@dataclass
class Dashboard:
    """A page of the dashboard at the service's address."""

    page: Page
    url: str

    async def open(self, view: str = "/") -> None:
        """Show a view, until its data is there."""
        await self.page.goto(f"{self.url}/#{view}")
        await expect(self.page.locator("main > .loading")).to_have_count(0)

    def button(self, name: str) -> Locator:
        """The button with exactly that name."""
        return self.page.get_by_role("button", name=name, exact=True)

    async def focused(self) -> str:
        """What has the focus, by name."""
        return str(
            await self.page.evaluate(
                "() => (document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"
            )
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium without a window."""
    program = chromium()
    expect.set_options(timeout=WAIT_MS)
    async with async_playwright() as playwright:
        names = f"--host-resolver-rules=MAP {ATTACKER} 127.0.0.1"
        started = await playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS.split(), names])
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A profile that knows nothing of others."""
    made = await browser.new_context(color_scheme="light")
    made.set_default_timeout(WAIT_MS)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """An empty page; no script on it may crash, and nothing may meet the page's policy."""
    made = await context.new_page()
    crashes: list[str] = []
    made.on("pageerror", lambda error: crashes.append(str(error)))
    made.on("console", lambda said: crashes.append(said.text) if "Content Security" in said.text else None)
    yield made
    assert crashes == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """A seeded instance with one proven backup."""
    chromium()  # nothing is started for tests that will be skipped
    directory: Path = tmp_path_factory.mktemp("browser")
    async with sandbox_product(directory) as running:
        assert (await running.back_up())["status"] == "succeeded"
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def dashboard(page: Page, product: Product) -> Dashboard:
    """The dashboard of that service, its instance at rest and running whatever became of the test before."""
    product.faults()
    for job in (await product.service.client.get("/jobs", params={"page_size": 10})).json()["jobs"]:
        await product.service.ended(job["id"])
    if product.state() == "stopped":
        await product.start()
    return Dashboard(page, f"http://127.0.0.1:{product.service.port}")

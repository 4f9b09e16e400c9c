"""Everybody can use the page: by keyboard, by ear, in any colours and widths; and where a token is asked for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from app.access.tokens import Scope
from app.settings import ServerSettings
from tests.api.serving import ServedApi, served_api
from tests.browser.conftest import Dashboard
from tests.instances import NAME
from tests.product import Product

#: The first test starts the instance all of them share.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="session")]

#: Roles of Chromium's accessibility tree that somebody can act on.
CONTROLS = {"button", "link", "textbox", "DisclosureTriangle", "checkbox", "combobox"}
TABBABLE = "main a[href], main button:not(:disabled), main summary, main [tabindex='0'], header a, header button"


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(tmp_path: Path) -> AsyncIterator[ServedApi]:
    """A service where every caller needs a token."""
    async with served_api(tmp_path, ServerSettings(require_token=True)) as served:
        yield served


async def accessibility_tree(page: Page) -> list[tuple[str, str]]:
    """Role and name of everything a screen reader is told of."""
    session = await page.context.new_cdp_session(page)
    nodes: list[dict[str, Any]] = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored") and "role" in node
    ]


@pytest.mark.parametrize("view", ["/", f"/instances/{NAME}", "/jobs", "/webhooks", "backup", "job"])
async def test_every_control_has_a_name_and_every_part_a_landmark(
    dashboard: Dashboard, product: Product, view: str
) -> None:
    """In every view, by Chromium's own accessibility tree."""
    backup = next(row for row in await product.backups() if row["status"] == "proven")
    await dashboard.open({"backup": backup["links"]["self"], "job": backup["links"]["job"]}.get(view, view))
    tree = await accessibility_tree(dashboard.page)
    assert [role for role, name in tree if role in CONTROLS and not name.strip()] == []
    assert {"banner", "main", "navigation", "contentinfo"} <= {role for role, _ in tree}
    assert await dashboard.page.get_by_role("heading", level=1).count() == 1


@pytest.mark.parametrize("view", ["/", f"/instances/{NAME}"])
async def test_tab_reaches_every_control_in_order(dashboard: Dashboard, view: str) -> None:
    """Each once, the way it is read, and each shows that it has the focus."""
    await dashboard.open(view)
    script = f"""() => [...document.querySelectorAll("{TABBABLE}")].filter((found) => found.checkVisibility())
        .map((found, index) => (found.dataset.place = index))"""
    expected = await dashboard.page.evaluate(script)
    reached = []
    await dashboard.page.keyboard.press("Tab")  # the link that skips to the content
    for _ in expected:
        await dashboard.page.keyboard.press("Tab")
        place = "() => [document.activeElement.dataset.place, getComputedStyle(document.activeElement).outlineStyle]"
        reached.append(await dashboard.page.evaluate(place))
    assert reached == [[str(place), "solid"] for place in expected]


async def test_the_first_tab_skips_to_the_content(dashboard: Dashboard) -> None:
    """And leaves the view as it is."""
    await dashboard.open("/jobs")
    await dashboard.page.keyboard.press("Tab")
    await dashboard.page.keyboard.press("Enter")
    assert await dashboard.page.evaluate("() => document.activeElement.id") == "main"
    assert dashboard.page.url.endswith("#/jobs")


async def test_another_view_begins_at_its_heading(dashboard: Dashboard) -> None:
    """Focus and title say where one is."""
    await dashboard.open()
    await dashboard.page.get_by_role("link", name="Webhooks", exact=True).click()
    await expect(dashboard.page.get_by_role("heading", level=1, name="Webhooks")).to_be_focused()
    assert await dashboard.page.title() == "Webhooks · kecs-state"


@pytest.mark.parametrize("view", ["/", f"/instances/{NAME}", "/jobs", "/webhooks"])
async def test_a_narrow_window_does_not_scroll_sideways(dashboard: Dashboard, view: str) -> None:
    """320 pixels, which is 1280 at 400 % (WCAG 2.2, 1.4.10); only tables scroll within themselves."""
    await dashboard.page.set_viewport_size({"width": 320, "height": 640})
    await dashboard.open(view)
    assert await dashboard.page.evaluate("() => document.documentElement.scrollWidth") <= 320


async def test_colours_follow_the_system_until_chosen(dashboard: Dashboard) -> None:
    """The choice outlives the page."""
    background = "() => getComputedStyle(document.documentElement).backgroundColor"
    await dashboard.open()
    light = await dashboard.page.evaluate(background)
    await dashboard.page.emulate_media(color_scheme="dark")
    dark = await dashboard.page.evaluate(background)
    assert light != dark
    await dashboard.page.get_by_role("button", name="Colours: as the system").click()
    assert await dashboard.page.evaluate(background) == light
    await dashboard.page.reload()
    await expect(dashboard.page.get_by_role("button", name="Colours: light")).to_be_visible()
    assert await dashboard.page.evaluate(background) == light


async def test_nothing_moves_for_those_who_asked_for_that(dashboard: Dashboard) -> None:
    """The sign of a running phase stands still."""
    script = """() => { const sign = document.createElement('li'); sign.className = 'phase running';
        sign.append(Object.assign(document.createElement('span'), {className: 'sign'})); document.body.append(sign);
        return getComputedStyle(sign.firstChild).animationName; }"""
    await dashboard.open("/jobs")
    assert await dashboard.page.evaluate(script) == "turn"
    await dashboard.page.emulate_media(reduced_motion="reduce")
    assert await dashboard.page.evaluate(script) == "none"


async def test_a_service_that_is_away_is_said_and_found_again(dashboard: Dashboard) -> None:
    """Nobody has to load the page anew."""
    await dashboard.open()
    away = dashboard.page.get_by_text("The service does not answer")
    await dashboard.page.context.set_offline(True)
    await dashboard.page.get_by_role("link", name="Jobs", exact=True).click()
    await expect(away).to_be_visible()
    await dashboard.page.context.set_offline(False)
    await expect(away).to_be_hidden()
    await expect(dashboard.page.get_by_role("region", name="Jobs")).to_be_visible()


async def test_a_token_is_asked_for_and_kept_in_this_tab_only(page: Page, guarded: ServedApi) -> None:
    """A wrong one is asked for again with the reason; the right one lies in session storage alone."""
    token = await guarded.app.state.services.tokens.create("someone", Scope.READ)
    await page.goto(guarded.url)
    dialog = page.get_by_role("dialog", name="This service asks for a token")
    for wrong in ("kecs_nothing", token):
        await dialog.get_by_label("Token", exact=True).fill(wrong)
        await dialog.get_by_role("button", name="Use this token").click()
    await expect(page.get_by_role("article", name="demo", exact=True)).to_be_visible()
    kept = "() => [Object.values({...sessionStorage}), Object.values({...localStorage}), document.cookie]"
    assert await page.evaluate(kept) == [[token], [], ""]


async def test_a_token_that_may_only_read_is_told_so(page: Page, guarded: ServedApi) -> None:
    """The refusal stands in the dialog that asked."""
    token = await guarded.app.state.services.tokens.create("viewer", Scope.READ)
    await page.goto(guarded.url)
    await page.get_by_label("Token", exact=True).fill(token)
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Back up now: demo").click()
    await page.get_by_role("button", name="Back up demo").click()
    refusal = page.get_by_role("alert").filter(has_text="The token may not do this")
    await expect(refusal).to_contain_text("needs 'operate'")

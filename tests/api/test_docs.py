"""The docs page works without any network."""

import re

import httpx


async def test_all_that_swagger_ui_loads_is_served_here(client: httpx.AsyncClient) -> None:
    """Nothing of the page points elsewhere, and the policy of the page would not let it."""
    page = await client.get("/docs")
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page.text)
    assert len(loaded) == 3
    for path in loaded:
        assert path.startswith("/docs/static/")
        assert (await client.get(path)).status_code == 200
    assert "http" not in page.headers["content-security-policy"]


async def test_the_bundle_reads_openapi_3_1(client: httpx.AsyncClient) -> None:
    """Swagger UI 5 is the first that does."""
    bundle = (await client.get("/docs/static/swagger-ui-bundle.js")).text
    assert re.search(r'PACKAGE_VERSION:"5\.\d+\.\d+"', bundle)
    assert (await client.get("/openapi.json")).json()["openapi"].startswith("3.1")


async def test_files_that_are_not_there_are_problems(client: httpx.AsyncClient) -> None:
    """Also below the page's files."""
    response = await client.get("/docs/static/nothing.js")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")

"""Dashboard and alerts ask for what the service tells."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.api.serving import served_api

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/kecs-state.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
RULES: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in RULES]
METRIC = re.compile(r"\b(?:kecs_state|process)_\w+")
LABEL_VALUE = re.compile(r'(kecs_state_\w+)\{(\w+)="([^"]+)"\}')


@pytest.fixture
async def metrics(tmp_path: Path) -> str:
    """What ``/metrics`` serves, before any job."""
    async with served_api(tmp_path) as api:
        return (await api.client.get("/metrics")).text


def _names(metrics: str) -> set[str]:
    """Every name a query may use, gauges without a sample included."""
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", metrics, re.MULTILINE):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def test_every_metric_asked_for_is_served(metrics: str) -> None:
    """And every one of our own that is served is asked for somewhere."""
    asked = {name for query in QUERIES for name in METRIC.findall(query)}
    served = _names(metrics)
    assert asked - served == set()
    own = {_family(name) for name in served if name.startswith("kecs_state_")}
    assert own == {_family(name) for name in asked if name.startswith("kecs_state_")}


def _family(name: str) -> str:
    """Of a histogram's parts, what they are parts of."""
    return re.sub("_(bucket|sum|count)$", "", name)


def test_every_label_asked_for_is_served(metrics: str) -> None:
    """A value that never comes is an alert that never rings."""
    asked = {match for query in QUERIES for match in LABEL_VALUE.findall(query)}
    assert asked
    assert all(f'{name}{{{label}="{value}"}}' in metrics for name, label, value in asked)


def test_instances_keep_their_name_in_prometheus() -> None:
    """Prometheus has a label of that name for itself and would rename ours."""
    (job,) = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    assert job["honor_labels"] is True
    assert all(f'job="{job["job_name"]}"' in query for query in QUERIES if query.startswith("up"))


def test_the_dashboard_finds_its_data() -> None:
    """Every panel and query uses the source that is provisioned."""
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    used = [part["datasource"] for panel in PANELS for part in (panel, *panel["targets"])]
    assert {(part["type"], part["uid"]) for part in used} == {(source["type"], source["uid"])}


def test_panels_say_what_they_show_and_do_not_overlap() -> None:
    """A description each, a number each, a place each."""
    assert all(panel["description"] for panel in PANELS)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_alerts_say_what_to_do() -> None:
    """Somebody reads them at night."""
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in RULES)
    assert {rule["labels"]["severity"] for rule in RULES} == {"warning", "critical"}

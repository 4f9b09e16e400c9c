"""Label selectors as people write them and as Kubernetes applies them."""

import pytest

from app.velero.errors import InvalidScope
from app.velero.selectors import label_selector, parse_selector, selects


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("app=web", {"app": "web"}, True),
        ("app==web", {"app": "db"}, False),
        ("app!=web", {}, True),
        ("app!=web", {"app": "web"}, False),
        ("tier in (a, b)", {"tier": "b"}, True),
        ("tier notin (a,b)", {}, True),
        ("kecs.dev/service", {"kecs.dev/service": "x"}, True),
        ("!legacy", {"legacy": ""}, False),
        ("app=web,tier in (a,b)", {"app": "web", "tier": "a"}, True),
        ("app=web,tier in (a,b)", {"app": "web"}, False),
        ("app=", {"app": ""}, True),
    ],
)
def test_selectors_select_as_in_kubernetes(text: str, labels: dict[str, str], expected: bool) -> None:
    """Every operator, and absent labels."""
    assert selects(parse_selector(text), labels) is expected


@pytest.mark.parametrize("text", ["a b", "=x", "app=we/b", "app in a", "app=web,,x=y", "ümlaut=1"])
def test_what_is_not_a_selector_is_refused(text: str) -> None:
    """With a remedy that shows the forms."""
    with pytest.raises(InvalidScope, match="not a term"):
        parse_selector(text)


def test_a_selector_is_said_in_kubernetes_own_form() -> None:
    """Values only where the operator takes them."""
    assert label_selector(parse_selector("app=web,!old")) == {
        "matchExpressions": [
            {"key": "app", "operator": "In", "values": ["web"]},
            {"key": "old", "operator": "DoesNotExist"},
        ]
    }

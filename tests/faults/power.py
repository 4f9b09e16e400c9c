"""The power driver: hangs, fails, does half, does nothing."""

from typing import Any

from tests.faults.rows import HURRIED, Fault
from tests.faults.surroundings import dead_node, powered_off


def off(what: str, how: str, code: str, **more: Any) -> Fault:
    """A stop whose backup is proven, and whose power-off goes wrong."""
    return Fault(
        "power driver",
        what,
        {"power": {"off": how}},
        operation="stop",
        options={"backup": {"mode": "skip"}},
        ends="failed",
        code=code,
        settings=HURRIED,
        **more,
    )


def on(what: str, how: str, code: str) -> Fault:
    """A start whose power-on goes wrong."""
    return Fault(
        "power driver",
        what,
        {"power": {"on": how}},
        around=powered_off,
        operation="start",
        ends="failed",
        code=code,
        settings=HURRIED,
        cluster="stopped",
    )


ROWS = [
    off("the power-off hangs", "hang", "step-timeout"),
    off("the power-off fails with a text", "error", "cluster-command-failed", says="asked for by a fault switch"),
    off("half of the cluster is off", "half", "step-timeout", cluster="half-off"),
    off("the power-off is said to be done and is not", "phantom", "step-timeout"),
    on("the power-on hangs", "hang", "step-timeout"),
    on("the power-on fails with a text", "error", "cluster-command-failed"),
    on("the power-on is said to be done and is not", "phantom", "step-timeout"),
    Fault(
        "power driver",
        "half off before a stop",
        around=dead_node,
        operation="stop",
        ends="failed",
        code="cluster-half-off",
        cluster="half-off",
    ),
    Fault(
        "power driver",
        "half off before a start",
        around=dead_node,
        operation="start",
        ends="failed",
        code="cluster-half-off",
        cluster="half-off",
    ),
]

"""One figure: what was measured, what it stands beside, and what is promised of it."""

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

#: A goal of this times the figure is reached by the last bit of a float too.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Measure:
    """Some rounds of a figure in ``unit``; ``baseline`` says what ``baseline_rounds`` are of, in that unit and run.

    A goal is a bound of the median: ``goal`` in the unit itself, ``goal_ratio`` as a multiple of the baseline's median.
    It is the most there may be, or where ``more_is_better`` the least. Without either the figure is only shown.
    """

    name: str
    rounds: list[float]
    baseline: str = ""
    baseline_rounds: list[float] = field(default_factory=list)
    goal: float | None = None
    goal_ratio: float | None = None
    unit: str = "s"
    more_is_better: bool = False
    notes: list[str] = field(default_factory=list)
    """What else there is to say, a line each."""

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.rounds)

    @property
    def baseline_median(self) -> float | None:
        """What it stands beside, if it does."""
        return statistics.median(self.baseline_rounds) if self.baseline_rounds else None

    @property
    def ratio(self) -> float | None:
        """The figure as a multiple of its baseline."""
        return self.median / self.baseline_median if self.baseline_median else None

    @property
    def bound(self) -> float | None:
        """The goal in the figure's own unit."""
        if self.goal_ratio is None:
            return self.goal
        return None if self.baseline_median is None else self.goal_ratio * self.baseline_median

    @property
    def reached(self) -> bool:
        """Whether it is within its goal; one without a goal always is, one without its baseline never."""
        if self.goal is None and self.goal_ratio is None:
            return True
        if self.bound is None:
            return False
        by = self.median - self.bound if self.more_is_better else self.bound - self.median
        return by >= -_ROUNDING * abs(self.bound)

    @property
    def goal_in_words(self) -> str:
        """As a sentence has it; "" without a goal."""
        side = "at least" if self.more_is_better else "at most"
        if self.goal_ratio is not None:
            return f"{side} {self.goal_ratio:g} of the baseline"
        return f"{side} {told(self.goal, self.unit)}" if self.goal is not None else ""

    def as_json(self) -> dict[str, Any]:
        """What ``of_json`` reads, and for other readers what follows from it."""
        return asdict(self) | {"median": self.median, "ratio": self.ratio, "reached": self.reached}

    @classmethod
    def of_json(cls, document: dict[str, Any]) -> "Measure":
        """Of ``as_json``, or of as little as ``name`` and ``rounds``; ``goal_seconds`` is a goal in seconds."""
        known = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        return cls(**({"goal": document.get("goal_seconds")} | known))


def p95(values: list[float]) -> float:
    """What all but the twentieth part of them stay below; between two of them where they are few."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def p99(values: list[float]) -> float:
    """What all but the hundredth part of them stay below."""
    return sorted(values)[int(len(values) * 0.99)]


def told(value: float, unit: str) -> str:
    """A value with its unit, to three digits that count."""
    digits = (
        0
        if abs(value) >= 100
        else 1
        if abs(value) >= 10
        else 2
        if abs(value) >= 0.1
        else 3
        if abs(value) >= 0.01
        else 5
    )
    return f"{value:,.{digits}f} {unit}".strip()

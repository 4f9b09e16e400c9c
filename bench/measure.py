"""One figure beside its baseline and its goal."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """Seconds of several rounds; ``baseline`` says what took ``baseline_seconds`` in the same run."""

    name: str
    rounds: list[float]
    baseline: str
    baseline_seconds: float
    goal_seconds: float

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.rounds)

    @property
    def reached(self) -> bool:
        """Whether it is within its goal."""
        return self.median <= self.goal_seconds

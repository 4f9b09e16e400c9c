"""Whether a figure grows with the number of rounds, as far as a regression can tell."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: Two-sided 95 % quantiles of Student's t by degrees of freedom; beyond the last, that one.
T_95 = {5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 10: 2.23, 12: 2.18, 15: 2.13, 20: 2.09, 30: 2.04}


@dataclass(frozen=True)
class Growth:
    """Units per round, and the 95 % confidence interval."""

    slope: float
    low: float
    high: float

    @property
    def real(self) -> bool:
        """Whether zero lies below the whole interval."""
        return self.low > 0


def growth(values: Sequence[float], block: int) -> Growth:
    """The slope over the smallest value of each ``block`` of rounds, which what lives for a moment does not lift.

    Neighbours among single rounds are alike, which makes a regression over them too sure of itself.
    """
    lowest = [min(values[at : at + block]) for at in range(0, len(values) - block + 1, block)]
    if len(lowest) < min(T_95) + 2:
        raise ValueError(f"{len(values)} rounds in blocks of {block} are too few for a slope")
    places = [float(place * block) for place in range(len(lowest))]
    line = statistics.linear_regression(places, lowest)
    freedom = len(lowest) - 2
    rest = sum((y - line.intercept - line.slope * x) ** 2 for x, y in zip(places, lowest, strict=True))
    spread = sum((x - statistics.fmean(places)) ** 2 for x in places)
    quantile = T_95[max(known for known in T_95 if known <= freedom)]
    margin = quantile * math.sqrt(rest / freedom / spread)
    return Growth(line.slope, line.slope - margin, line.slope + margin)

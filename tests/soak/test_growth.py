"""The regression: noise is no growth, and growth that is smaller than the noise is found."""

import random

import pytest

from tests.soak.growth import growth


def noise(rounds: int, slope: float = 0, seed: int = 1) -> list[float]:
    """Rounds around 100 with a spread of 5."""
    moments = random.Random(seed)  # noqa: S311 - replayable
    return [100 + slope * n + moments.uniform(0, 5) for n in range(rounds)]


def test_a_constant_does_not_grow() -> None:
    """With no margin at all."""
    found = growth([7.0] * 100, 10)
    assert (found.slope, found.low, found.real) == (0, 0, False)


def test_noise_is_rarely_taken_for_growth() -> None:
    """Once in forty, by the definition of the interval."""
    assert sum(growth(noise(200, seed=seed), 10).real for seed in range(100)) <= 10


def test_growth_below_the_noise_is_found() -> None:
    """A hundredth of the spread in each round is twice the spread in the end."""
    found = growth(noise(200, 0.05), 10)
    assert found.real
    assert found.low < 0.05 < found.high


def test_what_lives_for_a_moment_lifts_nothing() -> None:
    """Peaks that get higher over a floor that does not."""
    assert not growth([100.0 + n * (n % 10 != 3) for n in range(100)], 10).real


def test_too_few_rounds_are_no_answer() -> None:
    """Rather than a slope without a margin."""
    with pytest.raises(ValueError, match="too few"):
        growth([1.0] * 30, 10)

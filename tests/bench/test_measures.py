"""What a measure says of its goal, and the page that is made of kept ones."""

import json
from pathlib import Path

import pytest

from bench import page
from bench.measure import Measure, told
from bench.records import Record, read_records, write_records


@pytest.mark.parametrize(
    ("measure", "reached", "words"),
    [
        (Measure("a", [0.9, 1.0, 9.0], goal=1.0), True, "at most 1.00 s"),
        (Measure("a", [0.9, 1.1, 9.0], goal=1.0), False, "at most 1.00 s"),
        (Measure("a", [4.0], "b", [10.0], goal_ratio=0.4), True, "at most 0.4 of the baseline"),
        (Measure("a", [4.1], "b", [10.0], goal_ratio=0.4), False, "at most 0.4 of the baseline"),
        (Measure("a", [7.0], "b", [10.0], goal_ratio=0.7, more_is_better=True), True, "at least 0.7 of the baseline"),
        (Measure("a", [6.9], "b", [10.0], goal_ratio=0.7, more_is_better=True), False, "at least 0.7 of the baseline"),
        (Measure("a", [6.9], goal_ratio=0.7), False, "at most 0.7 of the baseline"),
        (Measure("a", [6.9]), True, ""),
    ],
)
def test_a_goal_is_reached_by_the_median(measure: Measure, *, reached: bool, words: str) -> None:
    """A bound from either side, of the figure or of its ratio; and a ratio needs its baseline."""
    assert (measure.reached, measure.goal_in_words) == (reached, words)


def test_the_list_of_the_real_stack_is_read_too() -> None:
    """Which has seconds, and a goal by that name."""
    read = Measure.of_json({"name": "install", "rounds": [4.0], "goal_seconds": 3.0})
    assert (read.unit, read.goal, read.reached) == ("s", 3.0, False)


@pytest.mark.parametrize(
    ("value", "words"), [(1234.5, "1,234 MB"), (12.34, "12.3 MB"), (1.234, "1.23 MB"), (0.0123, "0.012 MB")]
)
def test_values_are_told_by_the_digits_that_count(value: float, words: str) -> None:
    """Whatever their size."""
    assert told(value, "MB") == words


def test_the_page_tells_of_each_measure_and_of_an_earlier_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the kept records alone: min, median, max, baseline, ratio, goal, and what has changed."""
    before = Record([Measure("service ready", [2.0, 2.1, 2.2])], "0ld", "2026-11-01", 0.5, 2)
    now = Measure("service ready", [1.0, 1.1, 1.2], "bare <app> | tee", [0.5], 1.0)
    write_records(tmp_path / "bench.json", {"process": Record([now], "abc1234", "2026-11-28", 1.5, 2, before)})
    assert read_records(tmp_path / "bench.json")["process"].measures == [now]
    (tmp_path / "real.json").write_text(json.dumps([{"name": "install", "rounds": [4.0], "goal_seconds": 8.0}]))
    for name, path in (("KEPT", "bench.json"), ("KEPT_REAL", "real.json"), ("DOCUMENT", "page.md"), ("PICTURES", "i")):
        monkeypatch.setattr(page, name, tmp_path / path)
    page.main()
    text = (tmp_path / "page.md").read_text()
    goal = "at most 1.00 s | **missed**"
    assert f"| service ready | 1.10 s (1.00 s to 1.20 s) | bare <app> &#124; tee: 0.50 s | 2.20 | {goal} |" in text
    missed = "- service ready: 1.10 s (1.00 s to 1.20 s), goal at most 1.00 s"
    assert f"Goals missed: 1 of 2.\n\n{missed}\n" in text
    assert "| service ready | 2.10 s (2.00 s to 2.20 s) | 1.10 s (1.00 s to 1.20 s) | -48 % |" in text
    assert "| install | 4.00 s |  |  | at most 8.00 s | reached |" in text
    assert "Taken on 2026-11-28 at `abc1234`, 2 cores, load average 1.5." in text
    picture = (tmp_path / "i" / "performance-process.svg").read_text()
    assert picture.startswith("<svg")
    assert "bare &lt;app&gt; | tee" in picture

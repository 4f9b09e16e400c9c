"""What a person sees while a job runs."""

from typing import Any

from app.cli.following import describe_now


def job(**progress: Any) -> dict[str, Any]:
    """A running job in the midst of a step."""
    return {"step": "wait-for-backup", "status": "running", "progress": progress or None}


def test_the_usual_time_tells_how_much_is_left() -> None:
    """Two of five seconds are gone, so it is 40 % and about three are left."""
    moment = describe_now(job(), 2.0, 5.0)
    assert (moment.done, moment.left_seconds) == (0.4, 3.0)


def test_without_experience_the_step_itself_tells() -> None:
    """Velero's own count of items is all there is at the first time."""
    moment = describe_now(job(percent=50, message="backup InProgress"), 2.0)
    assert moment.text == "wait-for-backup 50 % backup InProgress  (2 s)"
    assert (moment.done, moment.left_seconds) == (0.5, None)


def test_what_takes_longer_than_usual_promises_nothing() -> None:
    """A bar that stands at its end would only say that nobody knows."""
    moment = describe_now(job(), 7.0, 5.0)
    assert (moment.done, moment.left_seconds) == (None, None)

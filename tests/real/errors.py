"""What keeps a real cluster from running here, in words for the person who asked for one."""


class RealError(Exception):
    """One line that says what is wrong, and one that says what to do."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}\n  {remedy}" if remedy else problem)

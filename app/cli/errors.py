"""How a command ends when it does not end well, and the exit codes scripts rely on."""

from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes; Typer itself uses 2 as well."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    STILL_RUNNING = 4
    DONE_WITH_WARNINGS = 5
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends a command: what happened, why, and what to do, on standard error."""

    def __init__(self, title: str, detail: str, *, remedy: str = "", code: Exit = Exit.FAILED) -> None:
        super().__init__(detail)
        self.title = title
        self.detail = detail
        self.remedy = remedy
        self.code = code

    @classmethod
    def of_problem(cls, problem: dict[str, Any]) -> "CommandError":
        """The error that a problem document tells of."""
        return cls(problem.get("title", "Error"), problem.get("detail", ""), remedy=problem.get("remedy", ""))

    def __str__(self) -> str:
        lines = [f"{self.title}: {self.detail}"]
        if self.remedy:
            lines.append(f"What to do: {self.remedy}")
        return "\n".join(lines)

"""A Dockerfile as its stages and instructions: as much of the syntax as ours uses."""

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """What one FROM begins; instructions as name and argument, continued lines joined."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, wanted: str) -> list[str]:
        """The arguments of every instruction of a name."""
        return [argument for name, argument in self.instructions if name == wanted]


@dataclass
class Dockerfile:
    """The arguments before the first FROM, and the stages in order."""

    arguments: dict[str, str]
    stages: list[Stage]

    @property
    def last(self) -> Stage:
        """The one that becomes the image."""
        return self.stages[-1]


def read_dockerfile(path: Path) -> Dockerfile:
    """The file at ``path``."""
    text = re.sub(r"(?m)^#.*\n", "", path.read_text()).replace("\\\n", " ")
    parsed = Dockerfile({}, [])
    for line in filter(None, map(str.strip, text.splitlines())):
        name, argument = line.split(maxsplit=1)
        if name == "FROM":
            base, _, stage = argument.partition(" AS ")
            parsed.stages.append(Stage(base, stage))
        elif not parsed.stages:
            key, _, value = argument.partition("=")
            parsed.arguments[key] = value
        else:
            parsed.last.instructions.append((name, " ".join(argument.split())))
    return parsed

"""What a run has measured, as files: one for each group of measures, and all that is kept in one for the page."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measure import Measure
from tests.programs import commit


@dataclass(frozen=True)
class Record:
    """The measures of one group, and what they are to be read by."""

    measures: list[Measure]
    commit: str
    day: str
    """In UTC."""
    load: float
    """Of the machine's last minute when it ended; its number of cores would be idle time for nobody."""
    cores: int
    earlier: "Record | None" = None
    """The same of an earlier commit, measured in turn with this one."""

    @classmethod
    def of_now(cls, measures: list[Measure]) -> "Record":
        """Of the code that runs, on this machine, today."""
        return cls(measures, commit(), f"{datetime.now(UTC):%F}", round(os.getloadavg()[0], 1), os.cpu_count() or 1)

    def as_json(self) -> dict[str, Any]:
        """What ``record_of`` reads."""
        return {
            "commit": self.commit,
            "day": self.day,
            "load": self.load,
            "cores": self.cores,
            "measures": [measure.as_json() for measure in self.measures],
            "earlier": self.earlier.as_json() if self.earlier else None,
        }


def record_of(document: dict[str, Any]) -> Record:
    """A record from its file."""
    earlier = document["earlier"]
    return Record(
        [Measure.of_json(each) for each in document["measures"]],
        document["commit"],
        document["day"],
        document["load"],
        document["cores"],
        record_of(earlier) if earlier else None,
    )


def read_records(path: Path) -> dict[str, Record]:
    """Records by group; none where nothing was kept yet."""
    documents = json.loads(path.read_text()) if path.exists() else {}
    return {group: record_of(document) for group, document in documents.items()}


def write_records(path: Path, records: dict[str, Record]) -> None:
    """All of them anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    documents = {group: record.as_json() for group, record in records.items()}
    path.write_text(json.dumps(documents, indent=1) + "\n")

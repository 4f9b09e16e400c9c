"""The log of one backup or restore: uploaded as text, and counted as errors and warnings."""

import gzip
from typing import Any

from app.sandbox.times import now, timestamp
from app.sandbox.velero.archive import gzipped_json


class OperationLog:
    """Lines in Velero's format; what is reported as error or warning also stands in the results, by namespace."""

    def __init__(self, subject: str) -> None:
        """``subject`` is the field every line ends with, such as ``backup=velero/nightly``."""
        self._subject = subject
        self._lines: list[str] = []
        self._results: dict[str, list[tuple[str | None, str]]] = {"errors": [], "warnings": []}

    @property
    def errors(self) -> int:
        return len(self._results["errors"])

    @property
    def warnings(self) -> int:
        return len(self._results["warnings"])

    def info(self, message: str) -> None:
        self._write("info", message)

    def warn(self, message: str, namespace: str | None = "") -> None:
        """``namespace`` is empty for something of the cluster, None for Velero's own affairs."""
        self._write("warning", message)
        self._results["warnings"].append((namespace, message))

    def error(self, message: str, namespace: str | None = "") -> None:
        self._write("error", message)
        self._results["errors"].append((namespace, message))

    def text(self) -> bytes:
        """The log object's bytes (gzip)."""
        return gzip.compress("".join(self._lines).encode(), compresslevel=1)

    def results(self) -> bytes:
        """The results object's bytes: gzip of ``{"errors": {...}, "warnings": {...}}``."""
        return gzipped_json({kind: _grouped(entries) for kind, entries in self._results.items()})

    def _write(self, level: str, message: str) -> None:
        quoted = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        self._lines.append(f'time="{timestamp(now())}" level={level} msg="{quoted}" {self._subject}\n')


def _grouped(entries: list[tuple[str | None, str]]) -> dict[str, Any]:
    grouped: dict[str, Any] = {}
    for namespace, message in entries:
        if namespace is None:
            grouped.setdefault("velero", []).append(message)
        elif namespace:
            grouped.setdefault("namespaces", {}).setdefault(namespace, []).append(message)
        else:
            grouped.setdefault("cluster", []).append(message)
    return grouped

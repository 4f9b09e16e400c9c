"""Logs with a stable ``action`` and the job's context bound to every line, as text or as JSON.

Nothing of ours logs a secret; what libraries and exceptions say is redacted besides, since nobody reviews that.
"""

import contextlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Literal

_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)
_FIELDS = ("action", "code", "job_id", "instance", "step")
#: ``name=value``, ``name: value`` and ``"name": "value"`` for names of secrets; bearer tokens; passwords in URLs.
_SECRETS = (
    re.compile(r"""(?i)((?:[\w-]*(?:password|secret|token|access_key|key-data))["']?\s*[=:]\s*["']?)[^\s"',;&}]+"""),
    re.compile(r"(?i)(\bbearer\s+)[^\s\"',;]+"),
    re.compile(r"(://[^\s:/@]*:)[^\s/@]+(?=@)"),
)


@contextlib.contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Add fields to every line logged inside, also by the libraries called there."""
    token = _context.set({**(_context.get() or {}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Log to standard error; called once, by ``serve``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_context)
    if form == "json":
        handler.setFormatter(_JsonFormatter())
    else:
        handler.setFormatter(_TextFormatter("%(asctime)s %(levelname)-7s %(context)s%(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # botocore says at DEBUG what it signs: secrets among it.
    for library in ("alembic", "botocore", "aiobotocore", "kubernetes_asyncio", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _add_context(record: logging.LogRecord) -> bool:
    for name, value in (_context.get() or {}).items():
        if not hasattr(record, name):
            setattr(record, name, value)
    instance, job = getattr(record, "instance", ""), getattr(record, "job_id", "")
    record.context = f"[{instance} {job[-8:]}] " if job else ""
    return True


def redacted(text: str) -> str:
    """The text with the values of secrets replaced by ``***``."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


class _TextFormatter(logging.Formatter):
    """One line, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line without secrets."""
        return redacted(super().format(record))


class _JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; exceptions as text in ``exception``."""
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        line |= {name: getattr(record, name) for name in _FIELDS if getattr(record, name, "")}
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line)

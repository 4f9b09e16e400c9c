"""Loaded by every Python below a test that puts this directory on PYTHONPATH; writes down what the service does.

A service started this way has umask 0, so that a file or directory is private only by the mode it is made with, and
an audit hook that notes, one JSON line each, the programs it starts, modes changed afterwards, and files made where
the directory does not keep others out.
"""

import json
import os
import sys

NOTES = os.environ.get("NOTES_OF_THE_WATCHED", "")
MADE = os.O_CREAT | os.O_WRONLY | os.O_RDWR


def note(what: str, value: object) -> None:
    """One line; appended in one write, since several processes share the file."""
    descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, json.dumps([what, str(value)]).encode() + b"\n")
    os.close(descriptor)


def is_open_to_others(path: str) -> bool:
    """Whether others may enter the directory in which a file is made."""
    try:
        return os.stat(os.path.dirname(path) or ".").st_mode & 0o077 != 0  # noqa: PTH116, PTH120 - within the hook
    except OSError:
        return False


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """The audit hook."""
    if event == "subprocess.Popen":
        note("program", arguments[1])
    elif event == "os.chmod":
        note("chmod", arguments[0])
    elif event == "open" and isinstance(arguments[0], str) and isinstance(arguments[2], int):
        path, flags = arguments[0], arguments[2]
        # With its directory given as a descriptor there is no path to look at; what is left of it is looked at later.
        if flags & MADE and os.path.isabs(path) and path != NOTES and is_open_to_others(path):  # noqa: PTH117
            note("open", path)


if NOTES and "app.cli.main" in sys.orig_argv:
    os.umask(0)
    sys.addaudithook(watch)

"""Loaded by every Python below a test that puts this directory on PYTHONPATH; writes down what the service does.

A service started this way has umask 0, so that a file or directory is private only by the mode it is made with, and
an audit hook that notes, one JSON line each, the programs it starts, modes changed afterwards, and files made by
``open()`` where the directory does not keep others out.
"""

import json
import os
import sys

NOTES = os.environ.get("NOTES_OF_THE_WATCHED", "")


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


def is_made_in_public(path: object, mode: object) -> bool:
    """Whether ``open()``, which leaves the mode of a new file to the umask, writes one where others may enter.

    ``os.open``, which has no such mode, names the rights itself; what it made is looked at afterwards.
    """
    return isinstance(path, str) and isinstance(mode, str) and bool(set(mode) & set("wax+")) and is_open_to_others(path)


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """The audit hook."""
    if event == "subprocess.Popen":
        note("program", arguments[1])
    elif event == "os.chmod":
        note("chmod", arguments[0])
    elif event == "open" and is_made_in_public(*arguments[:2]):
        note("open", arguments[0])


if NOTES and "app.cli.main" in sys.orig_argv:
    os.umask(0)
    sys.addaudithook(watch)

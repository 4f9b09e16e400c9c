"""KECS's own store around a power change: copied while nobody writes it, put back where it was lost.

None of this fails a stop or a start: what goes wrong is a warning, since the proven backup is what protects.
"""

from app.concurrency import in_thread_until_cancelled
from app.host.state_copies import PutBack, put_back, take_copy
from app.jobs.journal import Journal
from app.workflows.world import InstanceSession


def bounded_copying(session: InstanceSession, journal: Journal) -> Journal:
    """The journal with the deadline that copying has."""
    return journal.bounded(session.settings.workflow.state_copy_timeout_seconds)


async def copy_state(session: InstanceSession) -> str | None:
    """Copy the store of a cluster that is off; the copy's name, or None where there is nothing to copy."""
    keep = session.settings.workflow.keep_state_copies
    if keep == 0:
        return None
    directory = session.directory
    copy = await in_thread_until_cancelled(lambda go_on: take_copy(directory, keep=keep, go_on=go_on))
    return copy.name if copy is not None else None


async def ready_state(session: InstanceSession, journal: Journal) -> str | None:
    """Before power-on: put a lost store back, and have a copy of one that changed since the last."""
    await put_state_back(session, journal)
    return await copy_state(session)


async def put_state_back(session: InstanceSession, journal: Journal) -> bool:
    """Put back what is missing or broken, with a warning for each; says whether there was anything."""
    if session.settings.workflow.keep_state_copies == 0:
        return False
    directory = session.directory
    done = await in_thread_until_cancelled(lambda go_on: put_back(directory, go_on))
    for one in done:
        await journal.warn("state-put-back", _words(one), kept_aside=one.kept_aside)
    return bool(done)


def _words(one: PutBack) -> str:
    aside = f"; what lay there is kept as {', '.join(one.kept_aside)}" if one.kept_aside else ""
    why = "was missing" if one.reason == "missing" else f"could not be used ({one.reason})"
    return f"KECS's {one.generation} store {why}: the copy of {one.copied_at:%Y-%m-%d %H:%M:%S} UTC was put back{aside}"

"""How long one API server is waited for. The libraries below have no deadline of their own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Deadlines:
    """All in seconds.

    ``connect`` covers TCP, TLS and an upgrade to a websocket; ``read`` a whole answer, and of a watch its head;
    ``patience`` how long a 429 is waited out. ``watch`` is when the server shall end a watch; one that says nothing,
    not even a bookmark, for ``silence`` is dead, however open its connection looks.
    """

    connect: float = 10
    read: float = 60
    patience: float = 30
    watch: int = 240
    silence: float = 270


DEFAULT = Deadlines()

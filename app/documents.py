"""JSON and YAML that others wrote: read with bounded memory, and with one error whatever is wrong with them.

What Python's readers let through or raise besides: gzip that unfolds a thousandfold, nesting deeper than the stack
(RecursionError), numbers of thousands of digits and impossible dates (ValueError from inside PyYAML), and YAML whose
aliases and merge keys unfold without end. None of KECS, k3d and kubectl writes an alias.
"""

import json
import zlib
from typing import Any

import yaml

#: Far more than any document of Velero's unfolds to.
MOST_UNPACKED_BYTES = 64 * 1024 * 1024


class UnreadableDocument(ValueError):
    """Not what it should be; never quotes the content, which may hold secrets."""


def read_json(content: str | bytes) -> Any:
    """Any JSON; raises ``UnreadableDocument``."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise UnreadableDocument("it is no JSON") from None


def read_packed_json(packed: bytes) -> Any:
    """Gzipped JSON; raises ``UnreadableDocument``."""
    return read_json(unpacked(packed))


def unpacked(packed: bytes) -> bytes:
    """What one gzip stream holds; raises ``UnreadableDocument`` where it is damaged, cut off or a bomb."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = unpacker.decompress(packed, MOST_UNPACKED_BYTES)
    except zlib.error:
        raise UnreadableDocument("it is not gzipped") from None
    if not unpacker.eof:
        raise UnreadableDocument("it is cut off, or unfolds to an unreasonable size")
    return content


def read_yaml(content: str | bytes) -> Any:
    """One YAML document of plain values without aliases; raises ``UnreadableDocument``."""
    try:
        return yaml.load(content, _PlainLoader)  # noqa: S506 - a SafeLoader that takes less
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UnreadableDocument("it is no plain YAML") from None


class _PlainLoader(yaml.SafeLoader):
    """A safe loader that refuses aliases before anything is made of them."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node, which is not one that was there before."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)

"""Ids that come out the same whenever the same history is read, so that importing twice creates nothing."""

import json
from collections import OrderedDict
from hashlib import blake2b
from uuid import UUID, uuid5

_IMPORTS = UUID("6f2b1d0e-7c55-5d0a-9a53-0f6c6d1a7b11")
_REMEMBERED = 65_536


def event_id(format_: str, session_id: str, *place: str | int) -> str:
    """Id of the event at a place of a session: a native id and what tells apart the events made from it."""
    return str(uuid5(_IMPORTS, json.dumps([format_, session_id, *place])))


class Repeats:
    """Tells apart equal lines that have no id of their own: the first is 0, the next 1, and so on.

    An id built from content and this number survives lines that are added, mended or removed elsewhere. Of very long
    files only the last 65,536 such lines are remembered; equal ones further apart than that are taken for one.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def place(self, *content: str | int) -> tuple[str, int]:
        """Hash of the content, and how many equal ones came before."""
        digest = blake2b(json.dumps(content).encode(), digest_size=16)
        number = self._seen.pop(digest.digest(), -1) + 1
        self._seen[digest.digest()] = number
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return digest.hexdigest(), number

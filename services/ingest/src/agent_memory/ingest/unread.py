"""Commands that this version cannot read: whose they are, and whether a newer version could. Pure."""

from typing import get_args

import msgspec

from agent_memory.contracts.commands import AnyCommand
from agent_memory.contracts.errors import Fault

PATIENCE_MS = 3_600_000
"""How long a command waits for a newer version. An upgrade takes minutes; what is recorded a day after its sender was told to try
again would surprise everybody, so then it becomes a dead letter, which an operator replays or drops."""

KNOWN = frozenset(kind.__name__ for kind in get_args(AnyCommand))

LEFT_FOR_NEWER = Fault(
    name="NeedsUpgrade",
    detail="this takes a newer version than the one that was asked to record it; it waits for one, for an hour at most:"
    " send the same request again with the same Idempotency-Key",
)
KEPT = Fault(name="Unavailable", detail="the request failed inside and is kept as a dead letter; an operator can replay it")


class Tag(msgspec.Struct, frozen=True):
    """What kind of command it is."""

    type: str = ""


class Header(msgspec.Struct, frozen=True):
    """What can be read of a command whatever it says: who is to be told."""

    id: str
    command: Tag
    reply_to: str = ""

    @property
    def is_newer(self) -> bool:
        """Whether this version has never heard of such a command."""
        return self.command.type not in KNOWN


_header = msgspec.json.Decoder(Header).decode


def header_of(body: bytes) -> Header | None:
    """None for what is no command at all."""
    try:
        return _header(body)
    except msgspec.MsgspecError:
        return None

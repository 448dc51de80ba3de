"""When a document is too long for its model, and which messages go. Pure."""

from collections.abc import Sequence

from agent_memory.contracts.records import Message

DEFAULT_LIMIT = 16_000
"""Tokens that the model of a session takes when nobody said which it is."""
KEPT_SHARE = 0.4
"""Share of the limit that the newest messages may fill after a summary."""


def counted(message: Message) -> str:
    """The text that a message's tokens are counted in."""
    return f"{message.role}: {message.content}"


def threshold(limit: int | None, share: float) -> int:
    """Most tokens of a document that is left alone."""
    return int(_limit(limit) * share)


def leaving(tokens: Sequence[int], limit: int | None, share: float) -> int:
    """How many of the oldest messages become part of the summary, from the tokens of each; 0 when the document fits.

    The newest that fit stay, at least one.
    """
    if sum(tokens) <= threshold(limit, share):
        return 0
    room, stay = int(_limit(limit) * KEPT_SHARE), 0
    for count in reversed(tokens):
        if count > room:
            break
        room, stay = room - count, stay + 1
    return len(tokens) - max(stay, 1)


def _limit(limit: int | None) -> int:
    return limit if limit is not None and limit > 0 else DEFAULT_LIMIT

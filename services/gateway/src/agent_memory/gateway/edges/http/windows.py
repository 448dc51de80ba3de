"""How much of a session a caller can take: its model, its window in tokens, a number of messages."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from agent_memory.gateway import domain
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.call import Call
from agent_memory.gateway.edges.http.responses import SeenMessage
from agent_memory.gateway.gateway import Gateway
from agent_memory.gateway.ports import Document

Shown = Sequence[tuple[bytes, SeenMessage]]
"""Messages: their JSON, and what must be known of them."""

_NAMED = re.compile(rb"model_name|context_window_max|recent_messages_limit|window_size|%")
_EARLIEST = datetime.min.replace(tzinfo=UTC)
model_name = fields.nullable(fields.one_of(*domain.MODEL_TOKENS))
number = fields.nullable(fields.integer)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says about its window; None where it says nothing."""

    model_name: str | None = None
    context_window_max: int | None = None
    recent: int | None = None

    @property
    def bounded(self) -> bool:
        """Whether it names a number of tokens, itself or by its model."""
        return bool(self.model_name or self.context_window_max)

    @property
    def tokens(self) -> int:
        """Tokens that fit."""
        return domain.token_limit(self.model_name, self.context_window_max)


OPEN = Window()


def window_of(call: Call, recent: str = "recent_messages_limit", default: int | None = None) -> Window:
    """The window that a query string names. Raises InvalidRequest. `recent`: the parameter with the number of messages."""
    query: bytes = call.http["query_string"]
    if not query or not _NAMED.search(query):
        return OPEN if default is None else Window(recent=default)
    window = Window(
        model_name=call.parameters.get("model_name", model_name),
        context_window_max=call.parameters.get("context_window_max", number),
        recent=call.parameters.get(recent, number, default),
    )
    call.problems.check()
    return window


async def seen(gateway: Gateway, document: Document, window: Window) -> bytes:
    """A session's answer: the newest messages that the window takes, and how full they make it."""
    if window == OPEN:
        return responses.document(document, None)
    messages, percentages = await fitting(gateway, responses.split(document.messages), window)
    return responses.session(document.meta, b",".join([raw for raw, _ in messages]), percentages)


async def fitting(gateway: Gateway, messages: Shown, window: Window) -> tuple[Shown, tuple[float, float] | None]:
    """The newest messages that the window takes, in their order, and how full they make it."""
    if window.recent is not None and window.recent > 0:
        messages = sorted(messages, key=_time)[-window.recent :]
    if not window.bounded:
        return messages, None
    tokens = await gateway.tokens.count([f"{one.role}: {one.content}" for _, one in messages])
    first = domain.first_that_fits(tokens, window.tokens)
    return messages[first:], domain.percentages(sum(tokens[first:]), window.tokens, gateway.settings.summarization_threshold)


def _time(message: tuple[bytes, SeenMessage]) -> datetime:
    return message[1].created_at or _EARLIEST

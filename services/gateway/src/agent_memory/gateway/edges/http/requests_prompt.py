"""Bodies that ask for a prompt: a query with what is remembered around it."""

from typing import Any

import msgspec

from agent_memory.auth.principal import Principal
from agent_memory.contracts.errors import Refused
from agent_memory.contracts.queries import SearchMemories
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.fields import REQUIRED, Spec
from agent_memory.gateway.edges.http.problems import Loc, Problems
from agent_memory.gateway.edges.http.requests_search import search_memories
from agent_memory.gateway.edges.http.windows import Window, model_name, number

MEMORIES_UNASKED = 20
"""How many memories `long_term_search: true` stands for."""

_NAME = (fields.nullable(fields.name), None)


class PromptSession(msgspec.Struct, frozen=True, kw_only=True):
    """Which session belongs to the prompt, and how much of it fits."""

    session_id: str
    namespace: str | None = None
    user_id: str | None = None
    window: Window


class PromptRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt is made of. None: without a session, or without long-term memories."""

    query: str
    session: PromptSession | None
    search: SearchMemories | None


_SESSION: Spec = {
    "session_id": (fields.identifier, REQUIRED),
    "namespace": _NAME,
    "user_id": _NAME,
    "model_name": (model_name, None),
    "context_window_max": (number, None),
    "window_size": (number, None),
}


def _session(value: object, loc: Loc, problems: Problems) -> dict[str, Any]:
    return fields.fields(value, loc, problems, _SESSION)


def _wanted(value: object, loc: Loc, problems: Problems) -> object:
    """Search options, or whether to search at all."""
    return value if isinstance(value, dict) else fields.boolean(value, loc, problems)


_PROMPT: Spec = {
    "query": (fields.text, REQUIRED),
    "session": (fields.nullable(_session), None),
    "long_term_search": (fields.nullable(_wanted), None),
}


def memory_prompt(value: object, principal: Principal, problems: Problems, *, window_size: int | None = None) -> PromptRequest:
    """What a body asks for. Raises InvalidRequest, or Refused when it names nothing to remember. `window_size`: how many messages
    a session shows that names no number itself.
    """
    given = fields.fields(value, ("body",), problems, _PROMPT)
    problems.check()
    session, wanted = _prompt_session(given["session"], window_size), given["long_term_search"]
    if session is None and (wanted is None or wanted is False):
        raise Refused("Either session or long_term_search must be provided")
    search = None
    if wanted is not None and wanted is not False:
        options = _unasked(session) if wanted is True else _asked(wanted, session)
        search = search_memories({**options, "text": given["query"]}, principal, problems, ("body", "long_term_search"))
    return PromptRequest(query=given["query"], session=session, search=search)


def _prompt_session(given: dict[str, Any] | None, window_size: int | None) -> PromptSession | None:
    if given is None:
        return None
    recent = window_size if given["window_size"] is None else given["window_size"]
    return PromptSession(
        session_id=given["session_id"],
        namespace=given["namespace"] or None,
        user_id=given["user_id"] or None,
        window=Window(model_name=given["model_name"], context_window_max=given["context_window_max"], recent=recent),
    )


def _asked(options: dict[str, Any], session: PromptSession | None) -> dict[str, Any]:
    """The caller's own options; without a user among them, the session's."""
    if session is None or session.user_id is None or options.get("user_id"):
        return options
    return {**options, "user_id": {"eq": session.user_id}}


def _unasked(session: PromptSession | None) -> dict[str, Any]:
    """What is searched without being told how: the session's owner's memories, but those of the session itself."""
    options: dict[str, Any] = {"limit": MEMORIES_UNASKED}
    if session is not None:
        options["session_id"] = {"ne": session.session_id}
        named = {"namespace": session.namespace, "user_id": session.user_id}
        options |= {field: {"eq": value} for field, value in named.items() if value is not None}
    return options

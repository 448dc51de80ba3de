"""What happened to memories: their history, how they were, merges taken back, and merging what says the same."""

import re
from collections.abc import Callable
from typing import Any, cast

from litestar import post
from litestar.types import ASGIApp

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import UnmergeMemory
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.records import Scope, to_milliseconds
from agent_memory.contracts.replies import MemoryChanged
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.finding import enabled
from agent_memory.gateway.edges.http.problems import Loc, Problems
from agent_memory.gateway.edges.http.responses import Answered
from agent_memory.readmodels.past import Moment, changes, memory_as_of, session_as_of
from agent_memory.readmodels.sessions import SessionDocument

ROOT = "/v1/long-term-memory"
PREFIX = b"/v1/long-term-memory/"
COMPACT = f"{ROOT}/compact"
HISTORY, UNMERGE = b"/history", b"/unmerge"
AS_OF = "as_of"
_position = fields.between(0, 2**63 - 1)
_SPACE_FOR_PLUS = re.compile(r" (?=\d\d:?\d\d$)")


@post(COMPACT, status_code=200)
async def post_compact(request: HttpRequest) -> ASGIApp:
    """Merge the memories of a scope that say the same, all that were stored until now; answers when that is done."""
    call = await _opened(request)
    scope = call.scope()
    head = await call.gateway.log.head()
    done = await call.gateway.compaction.compact(scope.tenant, head, scope.namespace or None, scope.user_id or None)
    status = f"ok, {done.remaining} memories remaining after compaction"
    return Answered(encode({"status": status, "merged": done.merged}), headers=responses.at(done.position))


@post(f"{ROOT}/{{memory_id:path}}", status_code=200)
async def post_unmerge(request: HttpRequest) -> ASGIApp:
    """Take the newest merge of a memory back; the path ends in `/unmerge`."""
    call = await _opened(request)
    if not _ends(call, UNMERGE):
        return Answered(b'{"detail":"Method Not Allowed"}', status=405, headers={b"allow": b"GET, PATCH"})
    memory_id = call.id_in_path(PREFIX, "memory_id", suffix=UNMERGE)
    try:
        answer = await call.ask(Scope(tenant=call.principal.tenant), UnmergeMemory(memory_id=memory_id))
    except NotFound as error:
        raise _not_found(memory_id) from error
    return Answered(bytes(cast(MemoryChanged, answer.reply).record), headers=responses.at(answer.position))


def asks_history(call: Call) -> bool:
    """Whether the path of a GET ends in `/history`."""
    return _ends(call, HISTORY)


async def history(call: Call, otherwise: Callable[[Call], Any]) -> Answered:
    """What happened to a memory. A memory that is itself called so is answered by `otherwise`, when there is no other."""
    memory_id = call.id_in_path(PREFIX, "memory_id", suffix=HISTORY)
    await call.caught_up()
    events = await call.gateway.past.memory(call.principal.tenant, memory_id)
    if not events:
        try:
            return cast(Answered, await otherwise(call))
        except NotFound:
            raise _not_found(memory_id) from None
    body = encode({"memory_id": memory_id, "events": list(changes(events))})
    return Answered(body, headers=responses.at(events[-1].position))


def moment_of(call: Call) -> Moment | None:
    """The time or log position that a read asks about with `as_of`; None for now. Raises InvalidRequest."""
    moment: Moment | None = call.parameters.get(AS_OF, _moment)
    call.problems.check()
    return moment


async def memory_then(call: Call, memory_id: str, moment: Moment) -> Answered:
    """A memory as it was. Raises NotFound when there was none then."""
    await call.caught_up()
    found = memory_as_of(await call.gateway.past.memory(call.principal.tenant, memory_id), moment)
    if found is None:
        raise _not_found(memory_id)
    return Answered(encode(found[0]), headers=responses.at(found[1]))


async def session_then(call: Call, scope: Scope, session_id: str, moment: Moment) -> SessionDocument | None:
    """A session's working memory as it was; None when there was none then."""
    await call.caught_up()
    events = await call.gateway.past.session(scope, session_id)
    at_ms = moment.ms
    if moment.position is not None:
        at_ms = await call.gateway.past.recorded_ms(moment.position)
    found = session_as_of(events, moment, call.gateway.now_ms() if at_ms is None else at_ms)
    return None if found is None else found[0]


def _moment(value: object, loc: Loc, problems: Problems) -> Moment:
    if isinstance(value, str) and value.strip().isdecimal():
        return Moment(position=_position(value, loc, problems))
    if isinstance(value, str):
        value = _SPACE_FOR_PLUS.sub("+", value.strip())  # a + that was not encoded
    return Moment(ms=to_milliseconds(fields.moment(value, loc, problems))[0])


def _ends(call: Call, suffix: bytes) -> bool:
    path: bytes = call.http["raw_path"].partition(b"?")[0].removesuffix(b"/")
    return path.endswith(suffix) and len(path) > len(PREFIX) + len(suffix) - 1


async def _opened(request: HttpRequest) -> Call:
    call = await opened(request)
    enabled(call)
    return call


def _not_found(memory_id: str) -> NotFound:
    return NotFound(f"Memory with ID {memory_id} not found")


def handlers() -> list[Any]:
    """The routes of what happened to memories."""
    return [post_compact, post_unmerge]

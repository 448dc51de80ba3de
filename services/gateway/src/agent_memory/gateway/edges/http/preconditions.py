"""If-Match and If-None-Match: a write that takes effect only if nobody was faster."""

import re

from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.records import Scope
from agent_memory.gateway.edges.http.call import Call

_TAG = re.compile(r'(?:W/)?"?(\d{1,18})"?', re.ASCII)


def etag(version: int) -> bytes:
    """The tag of a session's version."""
    return b'"%d"' % version


async def expected_version(call: Call, scope: Scope, session_id: str) -> int | None:
    """The version that the caller's condition names: 0 for none at all; None without a condition.

    Raises InvalidRequest for a condition that no answer of ours can have led to, and Conflict when there must be some session
    (`If-Match: *`) and is none.
    """
    absent, match = _header(call, b"if-none-match"), _header(call, b"if-match")
    if absent is not None:
        if absent != "*" or match is not None:
            call.problems.value(("header", "if-none-match"), "only * is understood here, and no If-Match beside it", absent)
        call.problems.check()
        return 0
    if match is None:
        return None
    if match == "*":
        document = await call.gateway.sessions.read(scope, session_id)
        if document is None:
            raise Conflict("there is no such session")
        return document.version
    found = _TAG.fullmatch(match)
    if found is None:
        call.problems.value(("header", "if-match"), "give the ETag of the session as it was read, or *", match)
        call.problems.check()
    return int(found[1]) if found else None


def _header(call: Call, name: bytes) -> str | None:
    value = call.headers.get(name)
    return None if value is None else value.decode("latin-1").strip()

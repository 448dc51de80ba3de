"""Folded sessions kept between batches, so that the cost of a command does not grow with its stream."""

from collections import OrderedDict

from agent_memory.ingest.sessions import Session

MOST_SESSIONS = 20_000
MOST_MESSAGES = 1_000_000


class SessionCache:
    """Sessions by stream, the least recently used dropped first. May be stale when another replica writes; the expected
    version of an append finds that out.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._messages = 0

    def take(self, stream: str) -> Session | None:
        """Hands the state over: while it is being folded nobody else may see it, and a failed batch leaves no trace."""
        session = self._sessions.pop(stream, None)
        if session is not None:
            self._messages -= len(session.messages)
        return session

    def put(self, stream: str, session: Session) -> None:
        """Keeps a state that is in the log."""
        self.take(stream)
        self._sessions[stream] = session
        self._messages += len(session.messages)
        while len(self._sessions) > MOST_SESSIONS or (self._messages > MOST_MESSAGES and len(self._sessions) > 1):
            _, dropped = self._sessions.popitem(last=False)
            self._messages -= len(dropped.messages)

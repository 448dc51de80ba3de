"""given(history).when(command).then(events): every decision reads like a sentence."""

from collections.abc import Sequence

from agent_memory.contracts.commands import AnyCommand
from agent_memory.contracts.events import Event
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import session_stream
from agent_memory.ingest.domain import decide
from agent_memory.ingest.facts import Decision, Facts, Request

SCOPE = Scope()


class Given:
    """Commands that were decided before, in order; each a second later than the one before unless told otherwise."""

    def __init__(self, *history: AnyCommand) -> None:
        self.facts = Facts()
        self.sequence = 100
        self.now_ms = 1_000_000
        self.decision: Decision | None = None
        for command in history:
            self.when(command)

    def when(self, command: AnyCommand, *, sequence: int | None = None, later_ms: int = 1000) -> "Given":
        """Decides a command."""
        self.sequence = self.sequence + 1 if sequence is None else sequence
        self.now_ms += later_ms
        request = Request(command=command, scope=SCOPE, sequence=self.sequence, now_ms=self.now_ms)
        self.decision = decide(request, self.facts)
        return self

    def then(self, *expected: type[Event]) -> "Given":
        """What happened, by type of event."""
        assert self.decision is not None
        assert [type(emitted.event) for emitted in self.decision.events] == list(expected)
        return self

    def then_stands(self, session_id: str, message_ids: Sequence[str]) -> "Given":
        """Which messages are in the session's working memory, in order."""
        session = self.facts.sessions[session_stream(SCOPE, session_id)]
        assert (list(session.messages) if session.alive else []) == list(message_ids)
        return self

    @property
    def reply(self):  # type: ignore[no-untyped-def]
        """The answer to the last command."""
        assert self.decision is not None
        return self.decision.reply


given = Given

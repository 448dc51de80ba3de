"""The gateway as a bound credential sees it: every port held to what the credential is for, so that no door can forget to ask.

Whatever a door names, by query, body, filter or id, comes past here. What is unknown here is out of reach: a new port or
command is closed to bound credentials until somebody says how it is to be held.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec
from msgspec.structs import replace

from agent_memory.auth.principal import Principal
from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import (
    AnyCommand,
    AppendMessages,
    ChangeTask,
    CreateSummaryView,
    DeleteSummaryView,
    DeleteWorkingMemory,
    EditMemory,
    ForgetMemories,
    RecordEvents,
    ReplaceWorkingMemory,
    StoreMemories,
    TouchMemories,
    UnmergeMemory,
)
from agent_memory.contracts.errors import Forbidden, NotFound
from agent_memory.contracts.jobs import JobRun, SchedulerStatus
from agent_memory.contracts.queries import GetEvents, ListSessions, MemoryFilters, SearchMemories, SearchTimeline, TagFilter
from agent_memory.contracts.records import MemoryRecord, Reach, Scope
from agent_memory.eventlog.reader import EventPage, SessionPage
from agent_memory.gateway.auth_held_contents import HeldContents
from agent_memory.gateway.auth_held_past import HeldCompaction, HeldPast
from agent_memory.gateway.auth_held_views import HeldViews, reaches
from agent_memory.gateway.gateway import Gateway
from agent_memory.gateway.ports import (
    Answer,
    CommandBus,
    Document,
    Groups,
    Jobs,
    Log,
    Matches,
    Memories,
    Page,
    Sessions,
    Timeline,
    WorkingMemories,
    WorkingPage,
)

HARMLESS = frozenset(
    {
        *("settings", "embedder", "projections", "checks", "tokens", "rewriter", "authenticate", "new_id", "clock", "leaving"),
        *("summaries", "touches"),  # asked about nothing but what the caller was shown or has written
    }
)
"""Parts of the gateway that hold nobody's memories."""


def held(gateway: Gateway, principal: Principal) -> Gateway:
    """The gateway for one bound principal."""
    views = HeldViews(gateway.views, principal)
    ports: dict[str, Any] = {
        "bus": HeldBus(gateway.bus, principal, views),
        "log": HeldLog(gateway.log, principal),
        "past": HeldPast(gateway.past, principal),
        "compaction": HeldCompaction(gateway.compaction, principal),
        "sessions": HeldSessions(gateway.sessions, principal),
        "memories": HeldMemories(gateway.memories, principal),
        "working": HeldWorking(gateway.working, principal),
        "timeline": HeldTimeline(gateway.timeline, principal),
        "contents": HeldContents(gateway.contents, principal),
        "views": views,
        "jobs": HeldJobs(gateway.jobs),
    }
    for name in Gateway.__struct_fields__:
        if name not in HARMLESS:
            ports.setdefault(name, OutOfReach())
    return replace(gateway, **ports)


class OutOfReach:
    """What only a credential for the whole tenant reaches. Everything asked of it raises Forbidden."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Forbidden("this credential is bound to a namespace or user: what belongs to the whole tenant is out of its reach")


class HeldBus(OutOfReach):
    """Commands change nothing but what the credential is for."""

    def __init__(self, bus: CommandBus, principal: Principal, views: HeldViews) -> None:
        self._bus = bus
        self._principal = principal
        self._views = views

    async def ask(self, scope: Scope, command: AnyCommand, *, idempotency_key: str = "", **about: str) -> Answer:
        """As the port says. Raises Forbidden for a command that reaches beyond, NotFound for a view of somebody else."""
        await self._check_view(command)
        key = _own_key(self._principal, idempotency_key) if idempotency_key else ""
        return await self._bus.ask(scope, self._held(scope, command), idempotency_key=key, **about)

    def _held(self, scope: Scope, command: AnyCommand) -> AnyCommand:
        principal, reach = self._principal, self._principal.reach
        if scope.tenant != principal.tenant:
            raise Forbidden("this credential is for another tenant")
        match command:
            case RecordEvents() | AppendMessages() | DeleteWorkingMemory():
                return self._in(scope, command)
            case ReplaceWorkingMemory(memories=memories):
                for raw in memories:
                    owner = _owner(raw)
                    principal.scope(owner.namespace or scope.namespace, owner.user_id or scope.user_id)
                return self._in(scope, command)
            case StoreMemories(memories=records):
                return replace(command, memories=[_owned(record, principal) for record in records], within=reach)
            case EditMemory(namespace=namespace, user_id=user_id):
                _check_given(principal, namespace, user_id)
                return replace(command, within=reach)
            case ForgetMemories() | UnmergeMemory():
                return replace(command, within=reach)
            case TouchMemories():
                return command
            case CreateSummaryView(view=view) if reaches(principal, view):
                return command
            case DeleteSummaryView() | ChangeTask():
                return command
            case _:
                return OutOfReach().command

    async def _check_view(self, command: AnyCommand) -> None:
        match command:
            case DeleteSummaryView(view_id=view_id):
                wanted = view_id
            case ChangeTask(task=task):
                wanted = task.view_id or ""
            case _:
                return
        if await self._views.view(self._principal.tenant, wanted) is None:
            raise NotFound(f"SummaryView {wanted} not found")

    def _in(self, scope: Scope, command: AnyCommand) -> AnyCommand:
        if not self._principal.holds(scope):
            raise Forbidden("this credential does not reach that namespace or user_id")
        return command


class HeldLog(OutOfReach):
    """The log shows nothing but what the credential is for; the rest is as if it were not there."""

    def __init__(self, log: Log, principal: Principal) -> None:
        self._log = log
        self._principal = principal

    async def memory_record(self, tenant: str, memory_id: str) -> tuple[bytes, int] | None:
        """As the port says."""
        found = await self._log.memory_record(self._principal.tenant, memory_id)
        return found if found is not None and _reaches(self._principal, _owner(found[0])) else None

    async def sessions(self, query: ListSessions) -> SessionPage:
        """As the port says. Raises Forbidden for a listing that is not held."""
        _check(self._principal, Scope(tenant=query.tenant, namespace=query.namespace or "", user_id=query.user_id or ""))
        return await self._log.sessions(query)

    async def timeline(self, query: GetEvents) -> EventPage:
        """As the port says. Raises Forbidden for a scope beyond."""
        _check(self._principal, query.scope)
        return await self._log.timeline(query)

    async def head(self) -> int:
        """As the port says."""
        return await self._log.head()


class HeldSessions(OutOfReach):
    """A session of somebody else is not found."""

    def __init__(self, sessions: Sessions, principal: Principal) -> None:
        self._sessions = sessions
        self._principal = principal

    async def read(self, scope: Scope, session_id: str) -> Document | None:
        """As the port says. What the scope leaves open, the credential leaves open too."""
        return await self._sessions.read(scope, session_id) if self._principal.holds(scope) else None


class HeldMemories(OutOfReach):
    """A search finds nothing but what the credential is for, whatever its filters say."""

    def __init__(self, memories: Memories, principal: Principal) -> None:
        self._memories = memories
        self._principal = principal

    async def search(self, query: SearchMemories, vector: bytes | None) -> Page:
        """As the port says. Raises Forbidden for filters that ask for somebody else's."""
        filters = narrowed(query.filters, self._principal)
        return await self._memories.search(replace(query, tenant=self._principal.tenant, filters=filters), vector)


class HeldWorking(OutOfReach):
    """A search of working memory finds nothing but what the credential is for, whatever its filters say."""

    def __init__(self, working: WorkingMemories, principal: Principal) -> None:
        self._working = working
        self._principal = principal

    async def find(self, query: SearchMemories, vector: bytes | None) -> WorkingPage:
        """As the port says. Raises Forbidden for filters that ask for somebody else's."""
        filters = narrowed(query.filters, self._principal)
        return await self._working.find(replace(query, tenant=self._principal.tenant, filters=filters), vector)


class HeldTimeline(OutOfReach):
    """The search of what was said, in scopes that the credential is for."""

    def __init__(self, timeline: Timeline, principal: Principal) -> None:
        self._timeline = timeline
        self._principal = principal

    async def search(self, query: SearchTimeline, vector: bytes | None) -> Page:
        """As the port says. Raises Forbidden for a scope beyond."""
        _check(self._principal, query.scope)
        return await self._timeline.search(query, vector)

    async def search_sessions(self, query: SearchTimeline, vector: bytes | None) -> Groups:
        """As the port says. Raises Forbidden for a scope beyond."""
        _check(self._principal, query.scope)
        return await self._timeline.search_sessions(query, vector)

    async def search_all(self, query: SearchTimeline, vector: bytes | None) -> Matches:
        """As the port says. Raises Forbidden for a scope beyond."""
        _check(self._principal, query.scope)
        return await self._timeline.search_all(query, vector)


class HeldJobs(OutOfReach):
    """How jobs stand is nobody's own; to change that takes a credential for the whole system."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def status(self) -> SchedulerStatus:
        """As the port says."""
        return await self._jobs.status()

    async def history(self, job: str, limit: int = 50) -> Sequence[JobRun]:
        """As the port says."""
        return await self._jobs.history(job, limit)


def narrowed(filters: MemoryFilters, principal: Principal) -> MemoryFilters:
    """Filters that let nothing pass but what the principal is for. Raises Forbidden when they ask for nothing else."""
    if principal.namespaces is not None:
        filters = replace(filters, namespace=_narrowed(filters.namespace, principal.namespaces, "namespace"))
    if principal.user_id is not None:
        filters = replace(filters, user_id=_narrowed(filters.user_id, (principal.user_id,), "user_id"))
    return filters


def _narrowed(asked: TagFilter | None, allowed: tuple[str, ...], field: str) -> TagFilter:
    asked = asked or TagFilter()
    if asked.eq is not None and asked.eq not in allowed:
        raise Forbidden(f"this credential does not reach that {field}", field=field)
    if asked.any is not None and not set(asked.any) & set(allowed):
        raise Forbidden(f"this credential reaches none of those: {field}", field=field)
    if len(allowed) == 1:
        return replace(asked, eq=allowed[0])
    either = list(allowed) if asked.any is None else [value for value in asked.any if value in allowed]
    return replace(asked, any=either)


class _Owner(msgspec.Struct, frozen=True):
    namespace: str | None = None
    user_id: str | None = None


_owner = msgspec.json.Decoder(_Owner).decode


def _reaches(principal: Principal, owner: _Owner | MemoryRecord) -> bool:
    reach: Reach | None = principal.reach
    return reach is None or reach.holds(owner.namespace, owner.user_id)


def _owned(record: MemoryRecord, principal: Principal) -> MemoryRecord:
    """A memory that is the principal's: what it does not name is what the principal is for."""
    scope = principal.scope(record.namespace, record.user_id)
    return replace(record, namespace=scope.namespace or None, user_id=scope.user_id or None)


def _check_given(principal: Principal, namespace: str | None, user_id: str | None) -> None:
    """Raises Forbidden when something is given to somebody beyond. An empty name would give it to nobody."""
    for field, given, allowed in (
        ("namespace", namespace, principal.namespaces),
        ("user_id", user_id, None if principal.user_id is None else (principal.user_id,)),
    ):
        if given is not None and allowed is not None and given not in allowed:
            raise Forbidden(f"this credential does not reach that {field}", field=field)


def _check(principal: Principal, scope: Scope) -> None:
    if not principal.holds(scope):
        raise Forbidden("this credential does not reach that namespace or user_id")


def _own_key(principal: Principal, key: str) -> str:
    """An idempotency key that means something to this reach alone: others in the tenant may use the same."""
    reach = hashlib.blake2b(encode(principal.reach), digest_size=12).hexdigest()
    return f"{reach}:{key}"

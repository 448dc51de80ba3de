"""How a search is carried out: candidates in a total order, ranked in fixed blocks, and the records of one page."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.queries import Fusion, Recency, TextScorer
from agent_memory.contracts.streams import index_alias
from agent_memory.readmodels import conversation, statements
from agent_memory.readmodels.conversation import Place
from agent_memory.readmodels.documents import Kind
from agent_memory.readmodels.generations import changes_key
from agent_memory.readmodels.ranking import Ranked, by_recency, contenders, fuse, fuse_ranks, in_blocks
from agent_memory.readmodels.statements import Count, Row, Statement
from agent_memory.readmodels.words import Wanted

BLOCK = 100
"""Ranks that are re-ordered together, by recency or by fusion."""
_DEEP = 1_000
_KEPT_COUNTS = 10_000
_MORE = 8
"""How many times more is asked for when documents of equal rank were cut apart."""
_SPARE = 50
"""Asked for beyond the best by words: many short texts have equal scores, and asking again costs more than these."""
_MOST_AT_ONCE = 1_000_000
"""Documents that the server gives at most."""
_MOST_FOR_A_TIE = 100_000
"""A tie among more documents is not worth the seconds for which the server does nothing else."""
_TIMES = ("created_at", "last_accessed")
_PLACES = ("session_id", "previous")
_BESIDE: dict[Kind, tuple[str, ...]] = {"memory": _TIMES, "timeline": _PLACES, "contents": ()}
"""What has to be known of a candidate to place it."""
_ALL_PREFIXES: Statement = ("FT.CONFIG", "SET", "MAXPREFIXEXPANSIONS", 1_000_000)

Ask = Callable[[Sequence[Statement]], Awaitable[list[Any]]]
"""Sends statements together. The replies in order, an error as the reply it is; RedisError when the server cannot be reached."""


def asking(redis: Redis) -> Ask:
    """With a client's pipeline."""

    async def ask(asked: Sequence[Statement]) -> list[Any]:
        async with redis.pipeline(transaction=False) as pipe:
            for statement in asked:
                pipe.execute_command(*statement)
            replies: list[Any] = await pipe.execute(raise_on_error=False)
            return replies

    return ask


class Hit(NamedTuple):
    """A search result. `record` is the JSON it was stored with; `dist` is 0 and `score` None in a listing."""

    id: str
    record: bytes
    dist: float
    score: float | None
    score_type: str | None


class Group(NamedTuple):
    """A session that was found: how well, and its best events."""

    score: float
    hits: list[Hit]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A search after its filters were compiled and its text was split into words."""

    where: str
    mode: Literal["semantic", "keyword", "hybrid", "listing"]
    wanted: Wanted
    vector: bytes | None = None
    alpha: float = 0.7
    fusion: Fusion = "weighted"
    scorer: TextScorer = "BM25STD"
    threshold: float | None = None
    recency: Recency | None = None
    now: int = 0
    limit: int
    offset: int
    prefixes: bool = False

    @property
    def end(self) -> int:
        """One past the last rank that the page needs, whole blocks when they are re-ranked."""
        end = self.offset + self.limit
        return -(-end // BLOCK) * BLOCK if self.recency else end


class Found(NamedTuple):
    """Candidates in their order, the number of documents that match, and records that came along.

    Of a hybrid search also how near the nearest is (its cosine, not below 0), and whether anything has a word.
    """

    total: int
    candidates: list[Ranked]
    records: dict[bytes, bytes]
    nearest: float = 0.0
    worded: bool = False


class Side(NamedTuple):
    """What an index has to say beside another: hits in order, how many match, and of a hybrid search what `Found` says."""

    hits: list[Hit]
    total: int
    nearest: float
    worded: bool


class Sides(NamedTuple):
    """Candidates by nearness and by words; how many documents are near or far, and how many have the words."""

    near: list[Row]
    worded: list[Row]
    known: Count | None
    having: int


class Searching:
    """Carries out plans on one index. Counts are kept until the index changes; they are all the state there is."""

    def __init__(self, ask: Ask, kind: Kind) -> None:
        self._ask = ask
        self._kind = kind
        self._index = index_alias(kind)
        self._looked_in = statements.STEMS_IN_CONTEXT if kind == "timeline" else statements.STEMS
        self._counts: OrderedDict[str, Count] = OrderedDict()
        self._most = 0

    async def run(self, plan: Plan) -> tuple[int, list[Hit]]:
        """Total and hits of a page. Raises Unavailable without an index, ValueError for a plan that lacks its vector."""
        if plan.mode == "listing":
            return await self._list(plan)
        if plan.mode == "semantic" and plan.recency and plan.threshold is None and plan.vector is not None:
            return await self._freshest(plan, plan.recency)
        found = await self._found(plan)
        return found.total, await self._hits(plan, found)

    async def side(self, plan: Plan) -> Side:
        """The hits of a page as one side of a search in two indexes. No listing. Raises what `run` does."""
        found = await self._found(plan)
        return Side(await self._hits(plan, found), found.total, found.nearest, found.worded)

    async def _found(self, plan: Plan) -> Found:
        if plan.mode == "keyword":
            return await self._by_words(plan)
        if plan.vector is None:
            raise ValueError(f"a {plan.mode} search needs a vector")
        if plan.mode == "hybrid":
            return await self._hybrid(plan)
        return await self._nearest(plan) if plan.threshold is None else await self._within(plan, plan.threshold)

    async def _list(self, plan: Plan) -> tuple[int, list[Hit]]:
        if plan.offset >= _DEEP and plan.offset >= (known := (await self._count(plan, plan.where)).matches):
            return known, []
        (reply,) = await self._send(plan, statements.listing(self._index, plan.where, plan.offset, plan.limit))
        total, rows = statements.listed(reply)
        return total, [Hit(_id(row.key), record, 0.0, None, None) for row in rows if (record := row.get(b"record"))]

    async def _by_words(self, plan: Plan) -> Found:
        if not plan.wanted:
            return Found(0, [], {})
        total, rows = await self._best(plan, self._having(plan), plan.end, _fields(plan))
        top = -rows[0].rank if rows else 0.0
        scores = [-row.rank / top if top > 0 else 0.0 for row in rows]
        if plan.recency and plan.end <= BLOCK:
            del rows[contenders(scores, plan.recency, plan.offset + plan.limit) :]
        candidates = [_ranked(row, 1.0 - score, score) for row, score in zip(rows, scores, strict=False)]
        return Found(total, candidates, _records(plan, rows))

    async def _within(self, plan: Plan, radius: float) -> Found:
        """As `_nearest`, as far as `radius`: a walk through the graph that ends there can miss documents right where it starts."""
        known, rows, _ = await self._ranked_by_vector(plan, plan.where, plan.end, _fields(plan))
        inside = [row for row in rows if row.rank <= radius]
        total = len(inside)
        if total == len(rows) < known.matches:
            total = max(total, await self._count_within(plan, radius, known))
        return Found(total, [_near(row) for row in inside], _records(plan, inside))

    async def _count_within(self, plan: Plan, radius: float, known: Count) -> int:
        """How many documents are no farther than `radius`; exact where each of those that match can be compared."""
        if known.matches <= statements.EXACT_UP_TO:
            _, rows, _ = await self._ranked_by_vector(plan, plan.where, known.matches, ())
            return sum(row.rank <= radius for row in rows)
        (reply,) = await self._send(plan, statements.count_within(self._index, plan.where, plan.vector or b"", radius))
        total: int = reply[0]
        return total

    async def _nearest(self, plan: Plan) -> Found:
        known, rows, _ = await self._ranked_by_vector(plan, plan.where, plan.end, _fields(plan))
        return Found(known.matches, [_near(row) for row in rows], _records(plan, rows))

    async def _freshest(self, plan: Plan, weights: Recency) -> tuple[int, list[Hit]]:
        """The nearest `BLOCK` documents, re-ranked by the server; beyond them the others in blocks, re-ranked here."""
        deep = plan.offset + plan.limit > BLOCK
        window = (0, BLOCK) if deep else (plan.offset, plan.limit)
        known = self._counts.get(plan.where)
        asked = statements.freshest(self._index, plan.where, plan.vector or b"", BLOCK, known, weights, plan.now, *window)
        counting = () if known else (statements.count(self._index, plan.where),)
        token, reply, *counted = await self._send(plan, ("GET", changes_key(self._kind)), asked, *counting)
        if counted:
            known = self._keep(plan.where, token, counted[0][0])
        if known is None or known.token != token:
            known = await self._count(plan, plan.where)
        rows = statements.aggregated(reply)
        if not deep:
            return known.matches, [_hit(_near(row), record, plan) for row in rows if (record := row.get(b"record"))]
        # Which of several equally near documents belong to the first block is the server's choice, so the rest is what it left.
        first = {row.key for row in rows}
        _, near, _ = await self._ranked_by_vector(plan, plan.where, plan.end, _TIMES)
        rest = [_near(row) for row in near if row.key not in first]
        candidates = [_near(row) for row in rows]
        for start in range(0, len(rest), BLOCK):
            candidates += by_recency(rest[start : start + BLOCK], weights, plan.now)
        page = Found(known.matches, candidates, {row.key: record for row in rows if (record := row.get(b"record"))})
        return known.matches, await self._hits(msgspec.structs.replace(plan, recency=None), page)

    async def groups(self, plan: Plan) -> tuple[int, list[Group]]:
        """Sessions of the timeline by what their events score together, and how many have a candidate."""
        match plan.mode:
            case "keyword":
                having, worded = await self._best(plan, self._having(plan), BLOCK, _PLACES) if plan.wanted else (0, [])
                found, alpha = Sides([], worded, None, having), 0.0
            case "semantic":
                known, near, _ = await self._ranked_by_vector(plan, plan.where, BLOCK, _PLACES)
                found, alpha = Sides(near, [], known, 0), 1.0
            case _:
                found, alpha = await self._both_sides(plan, _PLACES), plan.alpha
        sessions = conversation.grouped(*_supported(found, alpha))
        page = sessions[plan.offset : plan.offset + plan.limit]
        keys = [key for _, best in page for key, _ in best]
        records = dict(zip(keys, await self._send(plan, *(("HGET", key, "record") for key in keys)), strict=True))
        return len(sessions), [
            Group(score, [_hit(Ranked(key, 1.0 - own, own), records[key], plan) for key, own in best if records[key] is not None])
            for score, best in page
        ]

    async def _hybrid(self, plan: Plan) -> Found:
        sides = await self._both_sides(plan, _BESIDE[self._kind])
        near, good, known = sides.near, sides.worded, sides.known
        assert known is not None
        match self._kind:
            case "timeline":
                fused = conversation.ordered(*_supported(sides, plan.alpha))
            case "contents":
                fused = conversation.scaled(_supported(sides, plan.alpha)[0])
            case "memory":
                fusing = fuse if plan.fusion == "weighted" else fuse_ranks
                fused = fusing({row.key: row.rank for row in near}, {row.key: -row.rank for row in good}, plan.alpha)
        row_of = {row.key: row for row in (*near, *good)}
        first = contenders([score for _, score in fused], plan.recency, plan.offset + plan.limit) if plan.recency else len(fused)
        candidates = [_ranked(row_of[key], 1.0 - score, score) for key, score in fused[:first]]
        if plan.recency:
            candidates = by_recency(candidates, plan.recency, plan.now)
        if len(fused) < plan.offset + plan.limit and len(near) < known.matches:
            # Beyond the candidates of both sides only nearness is left to order by.
            _, rest, _ = await self._ranked_by_vector(plan, _phrased(plan), plan.offset + plan.limit, _TIMES)
            candidates += [_ranked(row, 1.0, 0.0) for row in rest if row.key not in row_of]
        return Found(known.matches, candidates, {}, max(0.0, 1.0 - near[0].rank) if near else 0.0, bool(good))

    async def _both_sides(self, plan: Plan, fields: tuple[str, ...]) -> Sides:
        by_words = f"{plan.where} {statements.any_word(plan.wanted, self._looked_in)}"
        beside = (statements.best(self._index, by_words, BLOCK + 1, fields, plan.scorer),) if plan.wanted else ()
        known, near, replies = await self._ranked_by_vector(plan, _phrased(plan), BLOCK, fields, beside)
        having, rows = statements.best_first(replies[0], fields) if replies else (0, [])
        good = _clear_of_ties(rows)
        if good is None:
            having, good = await self._best(plan, by_words, BLOCK, fields)
        return Sides(near, good, known, having)

    def _having(self, plan: Plan) -> str:
        """Documents that have any of the words themselves."""
        common = self._kind == "memory"
        return f"{plan.where} {statements.any_part(plan.wanted, self._looked_in, common=common)}"

    async def _ranked_by_vector(
        self, plan: Plan, where: str, end: int, fields: tuple[str, ...], beside: tuple[Statement, ...] = ()
    ) -> tuple[Count, list[Row], list[Any]]:
        """The first `end` documents by distance, then key; how many match; and the replies to statements sent beside."""
        known = self._counts.get(where)
        if end > _DEEP:
            known = await self._count(plan, where)
            end = min(end, known.matches)
        k = end + 1
        counting = () if known else (statements.count(self._index, where),)
        asked = statements.nearest(self._index, where, plan.vector or b"", k, known, fields)
        token, reply, *others = await self._send(plan, ("GET", changes_key(self._kind)), asked, *counting, *beside)
        if counting:
            known = self._keep(where, token, others.pop(0)[0])
        _, rows = statements.nearest_first(reply)
        while _cut_in_a_tie(rows, end, k) and k < _most(end):
            k = min(k * _MORE, _most(end))
            (reply,) = await self._send(plan, statements.nearest(self._index, where, plan.vector or b"", k, known, fields))
            _, rows = statements.nearest_first(reply)
        if known is None or known.token != token:
            known = await self._count(plan, where)
        return known, rows[:end], others

    async def _best(self, plan: Plan, where: str, end: int, fields: tuple[str, ...]) -> tuple[int, list[Row]]:
        """The first `end` documents by text score, then key, and how many match.

        More equals than a server gives at once are ordered among those that it gave.
        """
        k, most = min(end + _SPARE, _MOST_AT_ONCE), _most(end)
        while True:
            (reply,) = await self._send(plan, statements.best(self._index, where, k, fields, plan.scorer))
            total, rows = statements.best_first(reply, fields)
            if len(rows) < k or k >= most or rows[end - 1].rank != rows[-1].rank:
                return total, rows[:end]
            k = min(k * _MORE, most)

    async def _hits(self, plan: Plan, found: Found) -> list[Hit]:
        if plan.recency and plan.mode != "hybrid":
            page = _reranked(plan, plan.recency, found.candidates)
        else:
            page = found.candidates[plan.offset : plan.offset + plan.limit]
        missing = [one.key for one in page if one.key not in found.records]
        fetched = await self._send(plan, *(("HGET", key, "record") for key in missing))
        records = found.records | {key: record for key, record in zip(missing, fetched, strict=True) if record is not None}
        return [_hit(one, records[one.key], plan) for one in page if one.key in records]

    async def _count(self, plan: Plan, where: str) -> Count:
        token, counted = await self._send(plan, ("GET", changes_key(self._kind)), statements.count(self._index, where))
        return self._keep(where, token, counted[0])

    def _keep(self, where: str, token: bytes | None, matches: int) -> Count:
        self._most = max(self._most, matches)
        known = Count(token=token, matches=matches, documents=self._most)
        self._counts[where] = known
        self._counts.move_to_end(where)
        if len(self._counts) > _KEPT_COUNTS:
            self._counts.popitem(last=False)
        return known

    async def _send(self, plan: Plan, *asked: Statement) -> list[Any]:
        if not asked:
            return []
        # A restarted server expands a prefix to 200 values only and says nothing about the others.
        first: tuple[Statement, ...] = (_ALL_PREFIXES,) if plan.prefixes else ()
        try:
            replies = (await self._ask((*first, *asked)))[len(first) :]
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise Unavailable("search is not reachable; try again") from error
        for reply in replies:
            if isinstance(reply, RedisError):
                raise _translated(reply)
        return replies


def _phrased(plan: Plan) -> str:
    """The documents that have all phrases."""
    phrases = statements.all_phrases(plan.wanted)
    return f"{plan.where} {phrases}" if phrases else plan.where


def _supported(sides: Sides, alpha: float) -> tuple[dict[bytes, float], dict[bytes, Place]]:
    """Scores of the candidates of both sides, and where they stand."""
    places = {row.key: _place(row) for row in (*sides.near, *sides.worded)}
    near = {row.key: -row.rank for row in sides.near}
    worded = {row.key: -row.rank for row in sides.worded}
    # Where the words' candidates are all that have them, the others score nothing; else, no more than the last candidate.
    least = 0.0 if sides.having <= len(worded) else min(worded.values())
    both = conversation.standard(near, min(near.values(), default=0.0)), conversation.standard(worded, least)
    return conversation.supported(*both, alpha, places), places


def _place(row: Row) -> Place:
    given = dict(zip(row.fields[::2], row.fields[1::2], strict=True))
    previous = given.get(b"previous")
    return Place(given.get(b"session_id", b""), None if previous is None else row.key.partition(b"}:")[0] + b"}:" + previous)


def _most(end: int) -> int:
    """How many candidates are asked for at most to know the order of the first `end`."""
    return min(max(end + _SPARE, _MOST_FOR_A_TIE), _MOST_AT_ONCE)


def _fields(plan: Plan) -> tuple[str, ...]:
    # A first page takes its records along; deeper ones, and candidates to re-rank, fetch those of the page alone.
    if plan.recency:
        return _TIMES
    return ("record",) if plan.offset == 0 else ()


def _reranked(plan: Plan, weights: Recency, candidates: list[Ranked]) -> list[Ranked]:
    blocks = in_blocks(plan.offset, plan.limit, BLOCK)
    ordered = [one for start, end in blocks for one in by_recency(candidates[start:end], weights, plan.now)]
    skipped = plan.offset - blocks[0][0]
    return ordered[skipped : skipped + plan.limit]


def _cut_in_a_tie(rows: list[Row], end: int, k: int) -> bool:
    """Whether documents as far as the last one wanted were left out, so that the order by key cannot be known yet."""
    return end > 0 and len(rows) >= k and rows[end - 1].rank == rows[-1].rank


def _clear_of_ties(rows: list[Row]) -> list[Row] | None:
    """Of `BLOCK` and one rows by text score those that no unseen row can equal; None when that leaves nothing."""
    if len(rows) <= BLOCK:
        return rows
    lowest = rows[-1].rank
    return [row for row in rows if row.rank < lowest] or None


def _near(row: Row) -> Ranked:
    return _ranked(row, row.rank, max(0.0, 1.0 - row.rank))


def _ranked(row: Row, dist: float, score: float) -> Ranked:
    fields = row.fields
    # Asked for last, so they come last; a document has both or, of the timeline, none.
    if len(fields) >= 4 and fields[-2] == b"last_accessed" and fields[-4] == b"created_at":
        return Ranked(row.key, dist, score, float(fields[-3]), float(fields[-1]))
    return Ranked(row.key, dist, score)


def _hit(one: Ranked, record: bytes, plan: Plan) -> Hit:
    return Hit(_id(one.key), record, one.dist, one.score, plan.mode)


def _records(plan: Plan, rows: list[Row]) -> dict[bytes, bytes]:
    if "record" not in _fields(plan):
        return {}
    return {row.key: record for row in rows if (record := row.get(b"record"))}


def _id(key: bytes) -> str:
    # The scope path holds no braces, so the first one closes it.
    return key.split(b"}:", 1)[1].decode()


def _translated(error: Exception) -> Exception:
    said = str(error).lower()
    if "no such index" in said or "unknown index" in said:
        return Unavailable("search index is being built")
    if "does not match index's expected size" in said or "query vector blob size" in said:
        return Unavailable("search index was built for another embedding model; rebuild it")
    if "timeout limit was reached" in said:
        return Unavailable("search took too long; try again")
    return error

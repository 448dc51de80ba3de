"""`agent-memory search`: long-term memories by meaning, by words or by both; without a query those that the filters let through."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from agent_memory.cli.options import Format, FormatOption, Namespace, User, listed
from agent_memory.cli.output import AsJson, printable
from agent_memory.cli.server import Url, body_of, server_at
from agent_memory.contracts.queries import SearchMode, TextScorer

if TYPE_CHECKING:
    from agent_memory.client.answers import MemoryHit, MemoryHits

RULE = 60
MOST = 100


def search(
    query: Annotated[str, typer.Argument(help="What to look for. Without it: a listing by the filters alone.")] = "",
    namespace: Namespace = None,
    session_id: Annotated[str | None, typer.Option("--session-id", "-s", help="Only of this session.")] = None,
    user_id: User = None,
    topics: Annotated[str | None, typer.Option("--topics", "-t", metavar="A,B", help="With any of these topics.")] = None,
    entities: Annotated[str | None, typer.Option("--entities", "-e", metavar="A,B", help="With any of these entities.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, max=MOST, help="At most so many.")] = 10,
    offset: Annotated[int, typer.Option("--offset", "-o", min=0, help="Pass over so many.")] = 0,
    search_mode: Annotated[SearchMode, typer.Option("--search-mode", help="By meaning, by words, or by both.")] = "semantic",
    hybrid_alpha: Annotated[
        float | None, typer.Option("--hybrid-alpha", min=0, max=1, help="Hybrid: weight of meaning against words; default 0.7.")
    ] = None,
    text_scorer: Annotated[
        TextScorer | None, typer.Option("--text-scorer", help="Keyword and hybrid: how words are weighed; default BM25STD.")
    ] = None,
    distance_threshold: Annotated[
        float | None, typer.Option("--distance-threshold", "-d", min=0, max=2, help="Semantic: nothing farther than this.")
    ] = None,
    format_: FormatOption = Format.text,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Search long-term memories. AGENT_MEMORY_TOKEN is the credential, where one is needed."""
    one = {"namespace": namespace, "session_id": session_id, "user_id": user_id}
    some = {"topics": listed(topics), "entities": listed(entities)}
    optional = {"hybrid_alpha": hybrid_alpha, "text_scorer": text_scorer, "distance_threshold": distance_threshold}
    asked: dict[str, Any] = {"text": query, "search_mode": search_mode, "limit": limit, "offset": offset}
    asked |= {name: {"eq": value} for name, value in one.items() if value is not None}
    asked |= {name: {"any": values} for name, values in some.items() if values}
    asked |= {name: value for name, value in optional.items() if value is not None}
    with server_at(url) as client:
        answer = body_of(client, "POST", "/v1/long-term-memory/search", asked)
    if as_json or format_ is Format.json:
        print(msgspec.json.format(answer, indent=2).decode())
        return
    from agent_memory.client.answers import MemoryHits  # noqa: PLC0415 (--help need not wait for it)

    print("\n".join(_page(msgspec.json.decode(answer, type=MemoryHits), offset)))


def _page(found: "MemoryHits", offset: int) -> list[str]:
    if not found.memories:
        return ["No memories found."]
    lines = [f"Found {found.total} memories (showing {len(found.memories)}):", "=" * RULE]
    for number, hit in enumerate(found.memories, offset + 1):
        lines += [f"[{number}] ID: {hit.id}", *(f"    {name}: {value}" for name, value in _told(hit)), ""]
    return [printable(line) for line in lines[:-1]]


def _told(hit: "MemoryHit") -> list[tuple[str, str]]:
    scored = [] if hit.score is None else [("Score", f"{hit.score:.4f} ({hit.score_type})"), ("Distance", f"{hit.dist:.4f}")]
    optional = {
        "Topics": ", ".join(hit.topics or ()),
        "Entities": ", ".join(hit.entities or ()),
        "Namespace": hit.namespace,
        "User": hit.user_id,
        "Session": hit.session_id,
        "Created": hit.created_at and hit.created_at.isoformat(),
    }
    text = " ".join(hit.text.split())
    return [*scored, ("Text", text), ("Type", hit.memory_type), *((name, value) for name, value in optional.items() if value)]

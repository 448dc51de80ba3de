"""What the search indexes hold. The only module that imports redisvl."""

from typing import Any

from redis.asyncio import Redis
from redis.commands.search.index_definition import IndexDefinition, IndexType
from redis.exceptions import ResponseError
from redisvl.schema import IndexSchema

from agent_memory.contracts.queries import TAG_FIELDS
from agent_memory.contracts.streams import document_prefix, index_name
from agent_memory.readmodels.documents import SEPARATOR, Kind

LAYOUT = 2
"""Of fields and what they hold. An index of another layout is built anew from the log beside the live one."""

OWN_WEIGHT = 3
"""What an occurrence of a word in an event counts where one in the events before it counts 1 (BM25F: Robertson, Zaragoza and
Taylor, 2004): the index adds up the weighted occurrences of all fields before it looks how much more another one still tells."""

HNSW = {"m": 16, "ef_construction": 24, "ef_runtime": 200, "epsilon": 0.1}
"""A narrow construction inserts five times faster than one of 200; the wide search brings recall@10 back to 0.98 and more."""


def index_schema(kind: Kind, number: int, dimensions: int, algorithm: str) -> IndexSchema:
    """The schema of one generation. `algorithm` is HNSW or FLAT; vectors are float32, compared by cosine distance."""
    fields = {"memory": _memory_fields, "timeline": _timeline_fields, "contents": _contents_fields}[kind]()
    vector = {"algorithm": algorithm.lower(), "dims": dimensions, "distance_metric": "cosine", "datatype": "float32"}
    if algorithm.upper() == "HNSW":
        vector |= HNSW
    fields += [_text("text"), {"name": "vector", "type": "vector", "attrs": vector}]
    return IndexSchema.from_dict(
        {
            "index": {"name": index_name(kind, number), "prefix": document_prefix(kind, number), "stopwords": []},
            "fields": fields,
        }
    )


async def create_index(redis: Redis, kind: Kind, number: int, dimensions: int, algorithm: str) -> bool:
    """Create the index of a generation; documents that are there already are indexed in the background. False: it existed."""
    schema = index_schema(kind, number, dimensions, algorithm)
    try:
        await redis.ft(schema.index.name).create_index(
            schema.redis_fields,
            no_highlight=True,
            stopwords=[],
            definition=IndexDefinition(prefix=[document_prefix(kind, number)], index_type=IndexType.HASH),
        )
    except ResponseError as error:
        if "already exists" in str(error):
            return False
        raise
    return True


def _text(name: str, weight: int = 1) -> dict[str, Any]:
    # Words are stemmed before they get here.
    return {"name": name, "type": "text", "attrs": {"no_stem": True, "weight": weight}}


def _tag(name: str, *, optional: bool = False) -> dict[str, Any]:
    return {"name": name, "type": "tag", "attrs": {"separator": SEPARATOR, "case_sensitive": True, "index_missing": optional}}


def _memory_fields() -> list[dict[str, Any]]:
    return [
        _tag("tenant"),
        _text("stems"),
        # Whether it is absent can be asked of each field, also of those that no record lacks.
        *(_tag(name, optional=True) for name in TAG_FIELDS),
        # Sortable, because re-ranking by recency reads them for every candidate.
        *({"name": name, "type": "numeric", "attrs": {"sortable": True}} for name in ("created_at", "last_accessed")),
        *({"name": name, "type": "numeric"} for name in ("event_date", "pinned")),
        {
            "name": "listing",
            "type": "tag",
            "attrs": {"separator": SEPARATOR, "case_sensitive": True, "sortable": True, "unf": True, "no_index": True},
        },
    ]


def _timeline_fields() -> list[dict[str, Any]]:
    return [
        *(_tag(name) for name in ("scope", "session_id", "event_type", "role")),
        {"name": "timestamp_ms", "type": "numeric"},
        _text("stems", OWN_WEIGHT),
        _text("before"),
    ]


def _contents_fields() -> list[dict[str, Any]]:
    return [
        *(_tag(name) for name in ("scope", "kind", "session_id")),
        *({"name": name, "type": "numeric"} for name in ("start_ms", "end_ms")),
        # Weighed as an event's own words are, so that the scores of both indexes grow alike.
        _text("stems", OWN_WEIGHT),
    ]

"""What is found of a node of the table of contents: the node by what was written about it, each of its grips by its words. Pure."""

from collections.abc import Sequence

import msgspec

from agent_memory.contracts.codec import encode
from agent_memory.contracts.records import Scope
from agent_memory.contracts.toc import Grip, Revision, by_weight
from agent_memory.readmodels.documents import SEPARATOR, Revise, Upsert, Value, searchable, tag

NODE, GRIP = "node", "grip"
"""What a document is of."""


def node_text(revision: Revision) -> str:
    """What a node is found by: title, summary, bullets and keywords, in that order: models of little reach read the first best."""
    bullets = [bullet.text for bullet in revision.bullets]
    parts = [revision.title, revision.summary, *bullets, ", ".join(by_weight(revision.keywords))]
    return "\n".join(part for part in parts if part.strip()) or revision.node_id


def grips_of(revision: Revision) -> list[Grip]:
    """The grips of a node, each once."""
    return list({grip.grip_id: grip for grip in revision.grips}.values())


def node_document(revision: Revision, scope: Scope, version: int, vector: bytes) -> Upsert:
    """The document of a node. It is there from the first to the last moment that the node is about, and names its grips."""
    fields = _about(NODE, scope, revision.session_id, revision.start_ms, revision.end_ms)
    grips = [grip.grip_id for grip in grips_of(revision)]
    if grips:
        fields["grips"] = SEPARATOR.join(grips)
    kept = msgspec.structs.replace(revision, grips=())
    fields |= {**searchable(node_text(revision)), "record": encode(kept), "vector": vector}
    return Upsert(kind="contents", scope_path=scope.path, id=revision.node_id, version=version, fields=fields)


def grip_document(grip: Grip, scope: Scope, version: int, vector: bytes) -> Upsert:
    """The document of a grip, of the version of its node's. It is there at the moment its first words were said."""
    fields = _about(GRIP, scope, grip.session_id, grip.timestamp_ms, grip.timestamp_ms)
    fields |= {**searchable(grip.excerpt), "record": encode(grip), "vector": vector}
    return Upsert(kind="contents", scope_path=scope.path, id=grip.grip_id, version=version, fields=fields)


def revise(scope: Scope, node_id: str, version: int, documents: Sequence[Upsert]) -> Revise:
    """All that is found of a node from now on."""
    return Revise(scope_path=scope.path, id=node_id, version=version, documents=tuple(documents))


def _about(kind: str, scope: Scope, session_id: str, start_ms: int, end_ms: int) -> dict[str, Value]:
    fields: dict[str, Value] = {"scope": tag(scope.path), "kind": tag(kind), "start_ms": start_ms, "end_ms": end_ms}
    if session_id:
        fields["session_id"] = tag(session_id)
    return fields

"""A whole table of contents, read through the door that an agent uses: nodes, their children, and the words of every grip."""

from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from agent_memory.contracts.records import TimelineEvent
from agent_memory.contracts.toc import SEGMENT_PREFIX, Bullet, Grip, TocNode
from bench.sequences import Connection
from bench.workloads import http

BESIDE = 3
"""Events before and after a grip, as ExpandGrip gives them."""


class Expanded(msgspec.Struct, frozen=True):
    """A grip with the events that it quotes and those beside them."""

    grip: Grip
    events_before: tuple[TimelineEvent, ...]
    excerpt_events: tuple[TimelineEvent, ...]
    events_after: tuple[TimelineEvent, ...]

    def nearest_first(self) -> Iterator[TimelineEvent]:
        """The quoted events, then those beside them from the inside out."""
        yield from self.excerpt_events
        before, after = self.events_before[::-1], self.events_after
        for at in range(max(len(before), len(after))):
            yield from (*before[at : at + 1], *after[at : at + 1])


class Tree(msgspec.Struct, frozen=True):
    """Nodes in order under their parent ("" is above the years), and grips by id."""

    children: dict[str, list[TocNode]]
    grips: dict[str, Expanded]

    def nodes(self) -> Iterator[TocNode]:
        """All of them."""
        for beneath in self.children.values():
            yield from beneath

    def segments(self) -> list[TocNode]:
        """The lowest ones."""
        return [node for node in self.nodes() if node.level == "segment"]

    def bullets(self) -> Iterator[tuple[TocNode, Bullet]]:
        """With the node that each stands in."""
        for node in self.nodes():
            for bullet in node.bullets:
                yield node, bullet


class _Page(msgspec.Struct):
    nodes: list[TocNode]
    continuation_token: str | None = None


def read_tree(connection: Connection, namespace: str) -> Tree:
    """All there is. Raises AssertionError when anything is refused, or a grip that a bullet names is not there."""
    children: dict[str, list[TocNode]] = {}
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        children[parent] = list(_children(connection, namespace, parent))
        waiting += [node.node_id for node in children[parent] if not node.node_id.startswith(SEGMENT_PREFIX)]
    wanted = {grip for nodes in children.values() for node in nodes for bullet in node.bullets for grip in bullet.grip_ids}
    return Tree(children, {grip: _expanded(connection, namespace, grip) for grip in sorted(wanted)})


def _children(connection: Connection, namespace: str, parent: str) -> Iterator[TocNode]:
    token: str | None = ""
    while token is not None:
        path = f"/v1/timeline/nodes/{quote(parent)}/children" if parent else "/v1/timeline/root"
        asked = f"?namespace={quote(namespace)}"
        asked += "&limit=100" if parent else ""
        asked += f"&continuation_token={token}" if token else ""
        _, body = connection.get_ok(http("GET", path + asked))
        page = msgspec.json.decode(body, type=_Page)
        yield from page.nodes
        token = page.continuation_token


def _expanded(connection: Connection, namespace: str, grip_id: str) -> Expanded:
    path = f"/v1/timeline/grips/{quote(grip_id)}?namespace={quote(namespace)}&events_before={BESIDE}&events_after={BESIDE}"
    _, body = connection.get_ok(http("GET", path))
    return msgspec.json.decode(body, type=Expanded)

"""A bundle: all that a log holds of a scope, as lines of JSON that can be carried elsewhere. Whole, or refused.

It begins with a manifest. Then come events in the order of the log, each command before the events that it led to; then where
sessions stand and which memories stand for which contents; then, where they were asked for, vectors and answers of models. It ends
with a seal: how many lines of each kind there are, and the hash of all of them.

It names no tenant: whose it becomes is said by the credential of whoever imports it. It holds no positions: those are of one log.
The same log gives the same bytes, and so does a log that they were imported into.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping

import msgspec

from agent_memory.contracts.codec import encode
from agent_memory.contracts.errors import Refused
from agent_memory.contracts.records import escape

FORMAT = "agent-memory-bundle"
VERSION = 1
MEDIA_TYPE = "application/x-ndjson"
KINDS = frozenset({"session", "memory", "toc", "view", "partition", "task"})
"""Streams that are carried. Scheduled jobs are not: they are a system's own."""
MAX_LINE_BYTES = 64_000_000


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="line"):
    """Base of all lines."""


class Manifest(Line, frozen=True, kw_only=True, tag="manifest"):
    """What a bundle is. None: every namespace, every user. `embeddings`: model of the vectors it has; `answers`: whether it
    has those of models. `counts`: how many events, commands, sessions and claims follow.
    """

    format: str
    version: int
    counts: dict[str, int]
    namespace: str | None = None
    user_id: str | None = None
    embeddings: str | None = None
    answers: bool = False


class CommandLine(Line, frozen=True, kw_only=True, tag="command"):
    """A command that took effect, and how it was answered. The events that it led to follow."""

    id: str
    outcome: msgspec.Raw
    recorded_ms: int
    idempotency_key: str | None = None
    fingerprint: str = ""


class EventLine(Line, frozen=True, kw_only=True, tag="event"):
    """An event as the log has it, with its provenance in `metadata`; `stream` is named without the tenant."""

    stream: str
    version: int
    type: str
    namespace: str = ""
    user_id: str = ""
    recorded_ms: int
    data: msgspec.Raw
    metadata: msgspec.Raw


class SessionLine(Line, frozen=True, kw_only=True, tag="session"):
    """Where a session stands after its events: whether it has a working memory, and until when (UTC milliseconds)."""

    stream: str
    version: int
    alive: bool
    expires_ms: int | None = None


class ClaimLine(Line, frozen=True, kw_only=True, tag="claim"):
    """Which memory stands for a content."""

    memory_hash: str
    memory_id: str


class EmbeddingLine(Line, frozen=True, kw_only=True, tag="embedding"):
    """The vector of a text, by the hash of the text."""

    model: str
    content_hash: bytes
    vector: bytes


class AnswerLine(Line, frozen=True, kw_only=True, tag="answer"):
    """What a model answered, by the hash of the request."""

    request_hash: bytes
    answer: msgspec.Raw
    recorded_ms: int


class Seal(Line, frozen=True, kw_only=True, tag="seal"):
    """The end. `sha256` of all bytes before it; `events_sha256` of the lines of events alone, by which bundles can be compared that
    differ in what else they hold.
    """

    counts: dict[str, int]
    events_sha256: str
    sha256: str


Content = CommandLine | EventLine | SessionLine | ClaimLine | EmbeddingLine | AnswerLine
AnyLine = Manifest | Content | Seal
_decode: "msgspec.json.Decoder[AnyLine]" = msgspec.json.Decoder(AnyLine)


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, or would do. `created` events are new here and end at `position`, `known` ones were here already.

    `kept`: streams that went on otherwise here, and stay as they are; `left` names some of them, without nodes of the table of
    contents, about which each log writes its own.
    """

    created: int
    known: int
    sessions: int
    memories: int
    kept: int = 0
    left: list[str] = []
    embeddings: int = 0
    answers: int = 0
    position: int = 0
    dry_run: bool = False


class _Account:
    """Counts and hashes of lines as they go by."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._all, self._events = hashlib.sha256(), hashlib.sha256()

    def add(self, line: AnyLine, written: bytes) -> None:
        self._all.update(written)
        if isinstance(line, EventLine):
            self._events.update(written)
        if not isinstance(line, Manifest):
            self.counts[plural(line)] += 1

    def seal(self) -> Seal:
        counts = {name: self.counts[name] for name in sorted(self.counts)}
        return Seal(counts=counts, events_sha256=self._events.hexdigest(), sha256=self._all.hexdigest())


class Writer:
    """Makes the lines of a bundle, one after the other."""

    def __init__(self) -> None:
        self._account = _Account()

    def line(self, line: Manifest | Content) -> bytes:
        """The line, with its end."""
        written = encode(line) + b"\n"
        self._account.add(line, written)
        return written

    def seal(self) -> bytes:
        """The last line."""
        return encode(self._account.seal()) + b"\n"


class Reader:
    """Reads the lines of a bundle, and sees to it that nothing is missing and nothing was changed."""

    def __init__(self) -> None:
        self.manifest: Manifest | None = None
        self.seal: Seal | None = None
        self.number = 0
        self._account = _Account()

    @property
    def counts(self) -> Mapping[str, int]:
        """Lines so far, by kind."""
        return self._account.counts

    def line(self, written: bytes) -> AnyLine:
        """The next line, given with its end. Raises Refused when it is not what must stand here."""
        self.number += 1
        try:
            line = _decode.decode(written)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self.refused(f"it cannot be read ({error})" if self.number > 1 else "this is no bundle") from None
        if self.seal is not None:
            raise self.refused("it stands behind the end of the bundle")
        if (self.number == 1) != isinstance(line, Manifest):
            raise self.refused("this is no bundle" if self.number == 1 else "a second bundle begins here")
        if isinstance(line, Seal):
            self._close(line)
        else:
            if isinstance(line, Manifest):
                self._open(line)
            if not written.endswith(b"\n"):
                raise self.refused("the bundle is cut: it ends within this line")
            self._account.add(line, written)
        return line

    def finish(self) -> Seal:
        """The seal, when all was read. Raises Refused for a bundle that ends before it."""
        if self.seal is None:
            self.number += 1
            raise self.refused("the bundle is cut: it ends before its seal" if self.manifest else "this is no bundle")
        return self.seal

    def refused(self, why: str) -> Refused:
        """What is wrong with the line that was read last. Nothing of such a bundle is imported."""
        return Refused(f"line {self.number}: {why}; nothing was imported")

    def _open(self, manifest: Manifest) -> None:
        if manifest.format != FORMAT:
            raise self.refused("this is no bundle")
        if manifest.version != VERSION:
            here = f"{VERSION} is what can be read here: it needs another version of agent-memory"
            raise self.refused(f"the bundle is of format version {manifest.version}, and {here}")
        self.manifest = manifest

    def _close(self, seal: Seal) -> None:
        assert self.manifest is not None
        found = self._account.seal()
        counted = {name: found.counts.get(name, 0) for name in self.manifest.counts}
        if found != seal or counted != self.manifest.counts:
            raise self.refused("the bundle was changed, or parts of it are missing: it is not what its manifest and seal say")
        self.seal = seal


async def lines_of(chunks: AsyncIterator[bytes], reader: Reader) -> AsyncIterator[bytes]:
    """Chunks of any size as lines, each with its end. Raises Refused for a line that no bundle has."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join((*held, line, b"\n"))
            held, size = [], 0
        if rest:
            held.append(rest)
            size += len(rest)
            if size > MAX_LINE_BYTES:
                raise reader.refused(f"the line behind it is longer than {MAX_LINE_BYTES:,} bytes")
    if held:
        yield b"".join(held)


def plural(line: AnyLine) -> str:
    """What lines of this kind are called in counts."""
    return f"{line.__struct_config__.tag}s"


def is_manifest(line: bytes) -> bool:
    """Whether a file that begins with this line is a bundle."""
    try:
        return isinstance(found := _decode.decode(line), Manifest) and found.format == FORMAT
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def without_tenant(stream: str) -> str:
    """A stream's name as bundles have it."""
    kind, _, rest = stream.split("/", 2)
    return f"{kind}/{rest}"


def of_tenant(tenant: str, stream: str) -> str:
    """The name of a bundle's stream in the log of a tenant. Raises ValueError for one that is not carried."""
    kind, _, rest = stream.partition("/")
    if kind not in KINDS or not rest:
        raise ValueError(f"{stream!r} is no stream that a bundle can hold")
    return f"{kind}/{escape(tenant)}/{rest}"


def part_of(command_id: str, namespace: str | None, user_id: str | None) -> str:
    """Name of that part of a command which took effect in one scope, where it took effect in others too."""
    return f"{command_id}@{hashlib.blake2b(encode([namespace, user_id]), digest_size=8).hexdigest()}"

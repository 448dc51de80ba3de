"""Unary gRPC calls as raw HTTP/2 on one connection: a tenth of what a gRPC library costs on the sender's side.

RFC 9113 and RFC 7541, as much of it as a well-behaved server and small requests need: no header is indexed, so none has to be
remembered, and what is in flight is far below the window that every server grants.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

import msgspec

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_FRAME, _PREFIX = 9, 5
_LARGEST_WINDOW, _FIRST_WINDOW, _RENEWED = 2**31 - 1, 65_535, 2**30


class Unary(msgspec.Struct, frozen=True):
    """A call that is ready to go, but for the number of its stream: frame heads and payloads of headers and message."""

    headers_head: bytes
    headers: bytes
    data_head: bytes
    data: bytes

    def on(self, stream: int) -> bytes:
        """The frames of the call on a stream."""
        number = stream.to_bytes(4)
        return b"".join((self.headers_head, number, self.headers, self.data_head, number, self.data))


def unary(path: str, message: bytes, metadata: tuple[tuple[str, str], ...] = ()) -> Unary:
    """A call of `path` ("/package.Service/Method") with a serialized message."""
    block = b"\x83\x86\x04" + _text(path) + b"\x01" + _text("bench") + b"\x0f\x10" + _text("application/grpc")
    block += b"".join(b"\x00" + _text(name) + _text(value) for name, value in (("te", "trailers"), *metadata))
    data = b"\x00" + len(message).to_bytes(4) + message
    return Unary(_head(_HEADERS, _END_HEADERS, block), block, _head(_DATA, _END_STREAM, data), data)


class Calls(asyncio.Protocol):
    """Sends calls, `in_flight` of them at a time, and takes the time of each. `finished` is set when all are answered."""

    def __init__(self, todo: list[Unary], in_flight: int) -> None:
        self.latencies: list[float] = []
        self.errors: list[bytes] = []
        self.received = 0
        self.finished = asyncio.Event()
        self._todo: Iterator[Unary] = iter(todo)
        self._left = len(todo)
        self._in_flight = in_flight
        self._buffer = b""
        self._next = 1
        self._window = _LARGEST_WINDOW
        self._open: dict[int, tuple[float, int]] = {}
        self._handlers: dict[int, Callable[[int, int, bytes], bytes]] = {
            _DATA: self._data,
            _HEADERS: self._trailer,
            _RST: lambda stream, flags, payload: self._done(stream, b"reset " + payload),
            _SETTINGS: lambda stream, flags, payload: b"" if flags & _ACK else _head(_SETTINGS, _ACK, b"") + bytes(4),
            _PING: lambda stream, flags, payload: b"" if flags & _ACK else _head(_PING, _ACK, payload) + bytes(4) + payload,
            _GOAWAY: lambda stream, flags, payload: self._failed(b"the server went away: " + payload),
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        settings = b"".join(
            name.to_bytes(2) + value.to_bytes(4) for name, value in ((1, 0), (2, 0), (4, _LARGEST_WINDOW), (5, 1_048_576))
        )
        self.transport.write(
            _PREFACE + _head(_SETTINGS, 0, settings) + bytes(4) + settings + _more(_LARGEST_WINDOW - _FIRST_WINDOW)
        )

    def begin(self) -> None:
        """Send the first calls."""
        self.transport.write(b"".join(self._call() for _ in range(self._in_flight)))

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        buffer, at, answers = self._buffer + data if self._buffer else data, 0, []
        while len(buffer) - at >= _FRAME:
            end = at + _FRAME + int.from_bytes(buffer[at : at + 3])
            if end > len(buffer):
                break
            handle = self._handlers.get(buffer[at + 3])
            if handle is not None:
                stream = int.from_bytes(buffer[at + 5 : at + _FRAME]) & 0x7FFFFFFF
                answers.append(handle(stream, buffer[at + 4], buffer[at + _FRAME : end]))
            at = end
        self._buffer = buffer[at:]
        if answer := b"".join(answers):
            self.transport.write(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._left:
            self._failed(b"connection lost: " + repr(exc).encode())

    def _call(self) -> bytes:
        call = next(self._todo, None)
        if call is None:
            return b""
        stream, self._next = self._next, self._next + 2
        self._open[stream] = (time.perf_counter(), 0)
        return call.on(stream)

    def _data(self, stream: int, flags: int, payload: bytes) -> bytes:
        began, size = self._open[stream]
        self._open[stream] = (began, size + len(payload))
        self._window -= len(payload)
        if self._window > _RENEWED:
            return b""
        self._window += _RENEWED
        return _more(_RENEWED)

    def _trailer(self, stream: int, flags: int, block: bytes) -> bytes:
        if not flags & _END_STREAM:
            return b""
        # A call that failed has no message; one of no bytes says that what was asked for is not there.
        return self._done(stream, b"" if self._open[stream][1] > _PREFIX else b"no message: " + block)

    def _done(self, stream: int, error: bytes) -> bytes:
        began, _ = self._open.pop(stream)
        self.latencies.append(time.perf_counter() - began)
        if error:
            self.errors.append(error)
        self._left -= 1
        if not self._left:
            self.finished.set()
        return self._call()

    def _failed(self, why: bytes) -> bytes:
        self.errors.append(why)
        self._left = 0
        self.finished.set()
        return b""


def _head(kind: int, flags: int, payload: bytes) -> bytes:
    """A frame's head without the number of its stream."""
    return len(payload).to_bytes(3) + bytes((kind, flags))


def _more(window: int) -> bytes:
    """Grants the server so many bytes more on the connection."""
    return _head(_WINDOW, 0, bytes(4)) + bytes(4) + window.to_bytes(4)


def _text(value: str) -> bytes:
    """A string literal. Raises ValueError for one of 127 bytes or more, which no bench needs."""
    raw = value.encode()
    if len(raw) >= 127:
        raise ValueError(f"{value!r} is too long for a header of the bench")
    return bytes((len(raw),)) + raw

"""Log lines are events too: one JSON object a line, bound to the message that caused it, with secrets taken out.

Loggers of structlog and of the standard library (uvicorn, faststream, aiohttp) come out of the same renderer.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import msgspec
import structlog

from agent_memory.contracts.envelope import CommandEnvelope, EventEnvelope
from agent_memory.runtime.settings import Settings

bound = structlog.contextvars.bound_contextvars
"""`with bound(projection="contents", position=7): …` adds these to every line logged inside, also by code that is called."""

HIDDEN = "***"
_SECRET_KEY = re.compile(r"password|passwd|secret|authorization|credential|cookie|(^|[_-])(api)?(key|token)$", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?<=://)[^\s/\"'@]*(?:@[^\s/\"'@]*)*(?=@)|(?<=bearer )\S+|\bsk-[\w-]{8,}|(?<=password=)(?:'(?:[^'\\]|\\.)*'|[^\s&'\"]+)",
    re.IGNORECASE,
)
_SIGNS = ("://", "earer ", "sk-", "assword=")
"""What stands in every text that may hold a secret: most hold none of these, and cost no more than a look."""
_DEPTH = 6
_FOREIGN = ("uvicorn", "uvicorn.error", "uvicorn.access", "faststream", "faststream.access", "faststream.access.redis", "aiohttp")
_CHATTY = ("aiohttp.access", "uvicorn.access", "httpx", "httpcore", "urllib3", "LiteLLM", "asyncio")

EventDict = MutableMapping[str, Any]


def configure(settings: Settings, service: str, *, stream: TextIO | None = None) -> None:
    """Set up logging of this process. Call once, first thing; lines go to `stream`, standard error by default."""
    out = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared = _shared(service)
    final = _renderers(settings, out)
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, *shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _FOREIGN:
        adopt(logging.getLogger(name))
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def adopt(logger: logging.Logger) -> None:
    """Send a library's own logger through ours. For libraries that add handlers after `configure`."""
    logger.handlers.clear()
    logger.propagate = True


def bound_to(envelope: CommandEnvelope | EventEnvelope, **more: object) -> AbstractContextManager[None]:
    """Bind what identifies a message: tenant and correlation id, and its command id or log position."""
    if isinstance(envelope, CommandEnvelope):
        more["command_id"] = envelope.id
    else:
        more["position"] = envelope.position
    return bound(tenant=envelope.scope.tenant, correlation_id=envelope.correlation_id, **more)


def redacted(value: Any, depth: int = _DEPTH) -> Any:
    """The value without passwords, tokens and keys, whether they are named so or stand in a URL or header."""
    if isinstance(value, str):
        return _SECRET_TEXT.sub(HIDDEN, value) if any(sign in value for sign in _SIGNS) else value
    if depth == 0 or isinstance(value, int | float | None):
        return value
    if isinstance(value, Mapping):
        return {key: _redacted_item(key, item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item, depth - 1) for item in value]
    return redacted(str(value), 0)


def _redacted_item(key: object, value: Any, depth: int) -> Any:
    if isinstance(key, str) and value not in (None, "") and _SECRET_KEY.search(key):
        return HIDDEN
    return redacted(value, depth)


def _redact(_logger: Any, _method: str, line: EventDict) -> EventDict:
    return {key: _redacted_item(key, value, _DEPTH) for key, value in line.items()}


def _shared(service: str) -> list[structlog.typing.Processor]:
    def name_service(_logger: Any, _method: str, line: EventDict) -> EventDict:
        line.setdefault("service", service)
        return line

    return [
        structlog.contextvars.merge_contextvars,
        name_service,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderers(settings: Settings, out: TextIO) -> list[structlog.typing.Processor]:
    if settings.log_format.lower() == "console":
        return [structlog.processors.format_exc_info, _redact, structlog.dev.ConsoleRenderer(colors=out.isatty())]
    return [
        structlog.processors.format_exc_info,
        _redact,
        structlog.processors.JSONRenderer(serializer=_json),
    ]


def _json(line: EventDict, **_: Any) -> str:
    try:
        return msgspec.json.encode(line, enc_hook=str).decode()
    except (ValueError, TypeError, OverflowError):
        # A lone surrogate or an integer of more than 64 bits: a log line must never be the thing that fails.
        return json.dumps(line, default=str)

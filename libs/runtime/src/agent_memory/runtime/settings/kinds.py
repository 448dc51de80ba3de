"""Values that are not shown: secrets as a whole, of addresses the part before the @ and what is called a password in them."""

import re
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

HIDDEN = "***"

Secret = Annotated[str, msgspec.Meta(extra={"secret": True})]
"""A key or a password."""
Address = Annotated[str, msgspec.Meta(extra={"address": True})]
"""A URL that may carry a password, or a connection string such as `host=db password=…`."""
_SAID = re.compile(r"((?:pass(?:word|wd)?|secret|token|api_?key)\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)


def shown(value: Any, kind: Any) -> Any:
    """The value of a setting as anybody may read it. `kind`: the type of its field."""
    if value and "secret" in marks(kind):
        return HIDDEN
    return _without_password(value) if value and "address" in marks(kind) else value


def marks(kind: Any) -> set[str]:
    """What is said of a field's type: `secret`, `address`, or nothing."""
    return {name for meta in getattr(kind, "__metadata__", ()) for name in meta.extra or {}}


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    if "@" not in parts.netloc:
        found = _SAID.sub(rf"\1{HIDDEN}", url)
        return found if "@" not in found else HIDDEN
    return _SAID.sub(rf"\1{HIDDEN}", urlunsplit(parts._replace(netloc=f"{HIDDEN}@{parts.netloc.rpartition('@')[2]}")))

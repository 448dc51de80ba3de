"""Text of the environment to values, as laxly as applications are used to."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from agent_memory.runtime.settings.kinds import marks, shown

YES = frozenset({"1", "true", "t", "yes", "y", "on"})
NO = frozenset({"0", "false", "f", "no", "n", "off"})

S = TypeVar("S", bound=msgspec.Struct)


class SettingsError(Exception):
    """A setting has a value that cannot be used; the text names it and says what would do."""


def parsed(struct: type[S], environment: Mapping[str, str]) -> S:
    """A struct whose fields are environment variables in upper case. An empty variable counts as unset, unless it is text.

    Raises SettingsError naming the first that does not fit its type.
    """
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        raw = environment.get(field.name.upper())
        if raw is None or (raw.strip() == "" and not _is_text(field.type)):
            continue
        try:
            given[field.name] = _value(raw.strip(), field.type)
        except msgspec.MsgspecError as error:
            raise SettingsError(f"{field.name.upper()}={shown(raw, field.type)!r} cannot be used: {error}") from None
    return struct(**given)


def _value(raw: str, kind: Any) -> Any:
    if kind is bool or bool in get_args(kind):
        word = raw.lower()
        if word not in YES | NO:
            raise msgspec.ValidationError("true or false, yes or no, on or off, 1 or 0")
        return word in YES
    if get_origin(kind) in (list, tuple):
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.MsgspecError as error:
            raise msgspec.ValidationError(f'a JSON list such as ["RS256"] ({error})') from None
    if get_origin(kind) is dict:
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.MsgspecError as error:
            raise msgspec.ValidationError(f'a JSON object such as {{"acme": "Europe/Berlin"}} ({error})') from None
    if choices := [choice for choice in get_args(kind) if isinstance(choice, str)]:
        raw = next((choice for choice in choices if choice.lower() == raw.lower()), "")
        if not raw:
            raise msgspec.ValidationError(" or ".join(choices))
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError:
        numbers = kind, *get_args(kind)
        raise msgspec.ValidationError("a whole number" if int in numbers else "a number") from None


def _is_text(kind: Any) -> bool:
    return kind is str or "secret" in marks(kind)

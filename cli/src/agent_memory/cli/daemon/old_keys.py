"""What a config.toml of the timeline daemon says beside our settings: who writes its summaries, and what has no effect here."""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent_memory.cli.daemon.settings import ENVIRONMENT, BadConfig

SUMMARIZER = "summarizer"
PROVIDERS = {"openai": ("OPENAI_API_KEY", "OPENAI_API_BASE"), "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_API_BASE")}


class Summarizer(msgspec.Struct, frozen=True, kw_only=True):
    """`[summarizer]`. `api_key_env`: the variable that holds the key, where `api_key` is empty."""

    provider: str = "openai"
    model: str = ""
    api_key: str = ""
    api_key_env: str = ""
    api_base_url: str = ""


def without_effect(told: Mapping[str, Any]) -> list[str]:
    """What of the file means nothing here, in its order. Raises BadConfig."""
    idle = [key for key in told if key not in ENVIRONMENT and key != SUMMARIZER]
    asked = _summarizer(told)
    if asked is None:
        return idle
    if reason := _unknown(asked):
        return [*idle, f"{SUMMARIZER} ({reason})"]
    ours = {field.name for field in msgspec.structs.fields(Summarizer)}
    return idle + [f"{SUMMARIZER}.{key}" for key in told[SUMMARIZER] if key not in ours]


def variables(told: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Our settings that the file's `[summarizer]` stands for, but for those that the environment has.

    Its key is for summaries alone, as it always was: embeddings stay where they are made without it. Raises BadConfig.
    """
    asked = _summarizer(told)
    if asked is None or _unknown(asked):
        return {}
    key, base = PROVIDERS[_provider(asked)]
    given = {
        "GENERATION_MODEL": _name(asked),
        key: asked.api_key or environment.get(asked.api_key_env, ""),
        base: asked.api_base_url,
    }
    found = {name: value for name, value in given.items() if value and not environment.get(name, "").strip()}
    if "OPENAI_API_KEY" in found and not environment.get("EMBEDDING_MODEL", "").strip():
        found["EMBEDDING_MODEL"] = "local"
    return found


def _summarizer(told: Mapping[str, Any]) -> Summarizer | None:
    if SUMMARIZER not in told:
        return None
    try:
        return msgspec.convert(told[SUMMARIZER], Summarizer)
    except msgspec.ValidationError as error:
        raise BadConfig(f"{SUMMARIZER}: {error}") from None


def _unknown(asked: Summarizer) -> str:
    """Why nobody can be asked as it says, and what to do instead."""
    if _provider(asked) not in PROVIDERS:
        return f"its provider is {asked.provider!r}; set GENERATION_MODEL to provider/name"
    return "it names no model; set GENERATION_MODEL" if _provider(asked) == "anthropic" and not asked.model else ""


def _provider(asked: Summarizer) -> str:
    return asked.provider.strip().lower()


def _name(asked: Summarizer) -> str:
    """Its model as GENERATION_MODEL names it."""
    named = asked.model.startswith(("claude", "anthropic/"))
    return asked.model if _provider(asked) == "openai" or named else f"anthropic/{asked.model}"

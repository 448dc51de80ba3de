"""Prompts that clients bring along to draw memories their own way: what they may be, and what may come of them. Pure.

A prompt of somebody else reaches the model with the operator's key. So it may name a few variables and nothing inside them, must
not try to talk the model out of its task or into running something, and what comes back is stored only when it reads like a memory.
"""

import re
from collections.abc import Mapping
from string import Formatter

from agent_memory.contracts.errors import Invalid

LONGEST_PROMPT = 10_000
LONGEST_MEMORY = 1_000
VARIABLES = frozenset(
    {"message", "current_datetime", "session_id", "namespace", "user_id", "model_name", "context", "topics", "entities"}
)
_DENIED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(ignore|disregard|forget|override|bypass)\b.{0,40}\b(previous|prior|above|earlier|all|system|other)\b.{0,40}"
        r"\b(instruction|prompt|rule|message|direction)s?\b",
        r"\byou are now\b|\bact as (if|though)\b|\bpretend (to be|that)\b|\bnew (instructions|persona|role)\b",
        r"\b(reveal|print|show|repeat|output|leak)\b.{0,40}"
        r"\b(system prompt|your (prompt|instructions|rules)|api[ _-]?keys?|secrets?)\b",
        r"\b(jailbreak|developer mode|do anything now)\b",
        r"<\s*/?\s*(system|assistant|script)\b|\[/?INST\]|<\|.{0,30}?\|>",
        r"__\w+__|\b(eval|exec|compile|getattr|setattr|globals|locals)\s*\(|\bos\.\w+|\bsubprocess\b|\bimport\s+\w+",
    )
)
_UNWANTED = re.compile(
    r"\b(system|instruction|ignore|disregard|override|import|exec|eval|secret|password|passwd|token|credential|api[ _-]?key)s?\b",
    re.IGNORECASE,
)


def check(prompt: object) -> str:
    """The prompt, when it may be used. Raises Invalid saying why not."""
    if not isinstance(prompt, str) or not prompt.strip():
        raise Invalid("a custom strategy needs custom_prompt in its config", field="custom_prompt")
    if len(prompt) > LONGEST_PROMPT:
        raise Invalid(f"custom_prompt has {len(prompt)} characters; at most {LONGEST_PROMPT} are taken", field="custom_prompt")
    for pattern in _DENIED:
        if found := pattern.search(prompt):
            raise Invalid(f"custom_prompt must not say {found.group()[:60]!r}", field="custom_prompt")
    for name in _variables(prompt):
        if name not in VARIABLES:
            known = ", ".join(sorted(VARIABLES))
            raise Invalid(f"custom_prompt names {name[:60]!r}, which is not one of its variables: {known}", field="custom_prompt")
    return prompt


def fill(prompt: str, values: Mapping[str, str]) -> str:
    """The prompt with its variables replaced; one without a value is empty. Raises Invalid as `check` does."""
    return "".join(
        literal + ("" if name is None else values.get(name, "")) for literal, name, _, _ in Formatter().parse(check(prompt))
    )


def admissible(text: str) -> bool:
    """Whether what such a prompt led to may be stored: as long as a memory is, and about none of what an attack is after."""
    return 0 < len(text.strip()) <= LONGEST_MEMORY and _UNWANTED.search(text) is None


def _variables(prompt: str) -> list[str]:
    try:
        parts = list(Formatter().parse(prompt))
    except ValueError as error:
        reason = f"custom_prompt has braces that do not fit: {error}; write {{{{ for one that stands for itself"
        raise Invalid(reason, field="custom_prompt") from None
    # An attribute, an index, a conversion or a format is part of no name that is known.
    return [name + (f"!{how}" if how else "") + (f":{form}" if form else "") for _, name, form, how in parts if name is not None]

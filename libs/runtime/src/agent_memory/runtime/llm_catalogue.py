"""What is publicly known of models: vector lengths and prices, from the data file that litellm ships."""

import importlib.util
from functools import cache
from pathlib import Path

import msgspec


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One model. Prices in US dollars a token, None where unknown."""

    output_vector_size: int | None = None
    max_input_tokens: int | None = None
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None


@cache
def _catalogue() -> dict[str, msgspec.Raw]:
    # litellm is located, not imported: importing it costs seconds and 190 MB.
    found = importlib.util.find_spec("litellm")
    if found is None or found.origin is None:
        return {}
    listing = Path(found.origin).parent / "model_prices_and_context_window_backup.json"
    try:
        return msgspec.json.decode(listing.read_bytes(), type=dict[str, msgspec.Raw])
    except (OSError, msgspec.DecodeError):
        return {}


def known(model: str) -> Known:
    """What is known of the model by its name, with or without its provider in front; nothing of a strange one. Blocks once."""
    entry = _catalogue().get(model) or _catalogue().get(model.rpartition("/")[2])
    try:
        return msgspec.json.decode(entry, type=Known) if entry else Known()
    except msgspec.DecodeError:
        return Known()


def cost(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """US dollars of one call at list price, None when the price is not known."""
    prices = known(model)
    if prices.input_cost_per_token is None:
        return None
    return prompt_tokens * prices.input_cost_per_token + completion_tokens * (prices.output_cost_per_token or 0.0)

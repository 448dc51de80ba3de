"""The credential as a header carries it."""

from agent_memory.client.errors import Unauthorized


def bearer(token: str | None) -> str | None:
    """What stands in `Authorization`; None without a token. What a file or variable has around it is left out.

    Raises Unauthorized for what no header can carry, which nobody ever gave out as a token; the text does not show it.
    """
    given = (token or "").strip()
    if not given.isascii() or not given.isprintable() or " " in given:
        raise Unauthorized("the token is none: it holds a space, a line break or a letter that no header can carry", status=401)
    return f"Bearer {given}" if given else None

"""Secrets of tokens: made, found again by what is in them, and kept as hashes that cannot be turned back."""

import base64
import hashlib
import re
import secrets

import bcrypt

PREFIX = "amt"
ROUNDS = 10
"""2^10 turns, some 70 ms. Our own tokens have 256 random bits, which no number of turns makes safer."""
_OURS = re.compile(rf"{PREFIX}_([0-9a-z]{{16}})_[0-9A-Za-z_-]{{32,}}")
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_token() -> str:
    """A token that nobody can guess; the part in the middle is not secret and says where to look for it."""
    return f"{PREFIX}_{''.join(secrets.choice(_ALPHABET) for _ in range(16))}_{secrets.token_urlsafe(32)}"


def lookup_id(token: str) -> str:
    """Where to look for a token: the id inside one of ours, the beginning of its digest for any other."""
    ours = _OURS.fullmatch(token)
    return ours[1] if ours else "~" + hashlib.sha256(token.encode()).hexdigest()[:16]


def hashed(token: str) -> str:
    """The bcrypt hash that is stored. Takes some 70 ms of a processor: not for an event loop."""
    return bcrypt.hashpw(_prepared(token), bcrypt.gensalt(ROUNDS)).decode()


def matches(token: str, hash_: str) -> bool:
    """Whether a hash is that of the token, in constant time. As slow as `hashed`; it leaves other threads alone."""
    try:
        return bcrypt.checkpw(_prepared(token), hash_.encode())
    except ValueError:  # what is stored is no bcrypt hash
        return False


def _prepared(token: str) -> bytes:
    """bcrypt takes 72 bytes without zeros; a digest is shorter and depends on all of the token."""
    return base64.b64encode(hashlib.sha256(token.encode()).digest())

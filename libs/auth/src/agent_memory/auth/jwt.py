"""Signatures of tokens (RFC 7515) and the keys they are checked with (RFC 7517). The only module that imports joserfc."""

import base64
import json
import re
import warnings
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from joserfc import jwk, jws
from joserfc.errors import JoseError, SecurityWarning

from agent_memory.auth.claims import invalid
from agent_memory.contracts.errors import Unauthorized

LEAST_RSA_BITS = 2_048
MOST_KID_CHARACTERS = 200
FORBIDDEN = ("crit", "jku", "jwk", "x5u", "x5c", "b64")
"""Header parameters by which a token would say itself how, or with whose key, it is to be checked."""
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_MATERIAL = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"P-256": {"ES256"}, "P-384": {"ES384"}, "P-521": {"ES512"}, "Ed25519": {"EdDSA", "Ed25519"}}
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


class Header(msgspec.Struct, frozen=True):
    """Which key signed a token, and how."""

    kid: str
    alg: str


class PublicKey(msgspec.Struct, frozen=True):
    """A key, and the only signatures that may be checked with it."""

    algorithms: frozenset[str]
    key: Any


Keys = Mapping[str, list[PublicKey]]
"""Keys by their id."""


def header_of(token: str, algorithms: Collection[str]) -> Header:
    """What a token says of its signature. Raises Unauthorized for one that needs no key to be refused."""
    given = _header(token)
    kid, alg = given.get("kid"), given.get("alg")
    if kid is None or kid == "":
        raise Unauthorized("Token missing key identifier (kid)")
    if not isinstance(kid, str) or not isinstance(alg, str):
        raise Unauthorized("Invalid token header")
    if alg not in algorithms:
        raise invalid("The specified alg value is not allowed")
    for name in FORBIDDEN:
        if name in given:
            raise invalid(f"the header parameter {name} is not allowed")
    kind = given.get("typ")
    if kind is not None and (not isinstance(kind, str) or kind.lower() not in TYPES):
        raise invalid("this is no access token (typ)")
    return Header(kid[:MOST_KID_CHARACTERS], alg)


def verified(token: str, alg: str, keys: Collection[PublicKey]) -> bytes:
    """The payload of a token that one of the keys signed. Raises Unauthorized."""
    fitting = [key for key in keys if alg in key.algorithms]
    if not fitting:
        raise invalid("The specified alg value is not allowed for this key")
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    registry.max_header_length = 4_096
    for key in fitting:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # of the name EdDSA, which issuers go on using
                return bytes(jws.deserialize_compact(token, key.key, registry=registry).payload)
        except (JoseError, ValueError):
            continue
    raise invalid("Signature verification failed")


def read_keys(document: bytes) -> Keys:
    """The public keys of a JWK set; those that cannot check a token are passed over. Raises ValueError when there are none."""
    try:
        found = json.loads(document)
        given = found["keys"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise ValueError("the answer is no JWK set") from None
    keys: dict[str, list[PublicKey]] = {}
    for one in given if isinstance(given, list) else []:
        if isinstance(one, dict) and (key := _public_key(one)) is not None:
            keys.setdefault(one["kid"][:MOST_KID_CHARACTERS], []).append(key)
    if not keys:
        raise ValueError("the JWK set has no key that could be used")
    return keys


def _header(token: str) -> dict[str, Any]:
    try:
        if _SHAPE.fullmatch(token):
            segment = token.partition(".")[0]
            given = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
            if isinstance(given, dict):
                return given
    except (ValueError, RecursionError):
        pass
    raise Unauthorized("Invalid token header")


def _public_key(given: Mapping[str, Any]) -> PublicKey | None:
    """A key of a set; None when it is a secret, is for encryption, is too short or broken, or has no id."""
    kid, kind, operations = given.get("kid"), given.get("kty"), given.get("key_ops")
    if not kid or not isinstance(kid, str) or not isinstance(kind, str) or kind not in _MATERIAL:
        return None
    if given.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        return None
    try:
        material = {name: given[name] for name in _MATERIAL[kind]}
        if kind == "RSA" and _bits(material["n"]) < LEAST_RSA_BITS:
            return None
        key = jwk.import_key({"kty": kind, **material})
        assert key.public_key  # made now, so that a broken one is found now
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return None
    fits = _RSA if kind == "RSA" else frozenset(_CURVES.get(material["crv"], ()))
    named = given.get("alg")
    algorithms = fits if named is None else fits & {named, *({"EdDSA", "Ed25519"} if named in ("EdDSA", "Ed25519") else ())}
    return PublicKey(algorithms, key) if algorithms else None


def _bits(number: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(number + "=" * (-len(number) % 4)), "big").bit_length()

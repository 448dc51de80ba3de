"""Addresses of the gRPC API."""

import re
from urllib.parse import urlsplit

import msgspec

from agent_memory.client.errors import InvalidEndpoint

DEFAULT_PORT = 50051
DEFAULT_ENDPOINT = f"http://[::1]:{DEFAULT_PORT}"
_SECURE = {"http": False, "grpc": False, "https": True, "grpcs": True}
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%25[\w.-]+)?")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """`target` is "host:port" as gRPC takes it; `secure`: with TLS."""

    target: str
    secure: bool = False


def parse_endpoint(given: str) -> Endpoint:
    """The address in `http://host:port`: grpc:// is the same, https:// and grpcs:// are with TLS, no scheme is without.

    The usual port is 50051. Raises InvalidEndpoint.
    """
    text = given.strip()
    try:
        parts = urlsplit(text if "://" in text else f"grpc://{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _invalid(given, str(error)) from None
    if parts.scheme not in _SECURE:
        raise _invalid(given, f"{parts.scheme}:// is not spoken here")
    if not _HOST.fullmatch(host) or parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        raise _invalid(given, "expected http://host:port")
    if port == 0:
        raise _invalid(given, "nothing listens on port 0")
    name = f"[{host}]" if ":" in host else host
    return Endpoint(target=f"{name}:{port or DEFAULT_PORT}", secure=_SECURE[parts.scheme])


def _invalid(given: str, reason: str) -> InvalidEndpoint:
    return InvalidEndpoint(f"{given!r} is not the address of a server: {reason}")

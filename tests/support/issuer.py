"""An OAuth2 issuer on this machine: keys made in the test, tokens signed with them, and a JWKS server that can misbehave."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


def b64(data: bytes) -> str:
    """base64url without padding, as RFC 7515 has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, length: int | None = None) -> str:
    """An integer of a JWK."""
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def segment(value: object) -> str:
    """A part of a token."""
    return b64(json.dumps(value).encode())


class RsaKey:
    """An RSA key pair, made when it is first needed: modules have some, and are imported also where no test of them runs."""

    def __init__(self, kid: str = "one", bits: int = 2048) -> None:
        self.kid, self._bits = kid, bits

    @cached_property
    def private(self) -> RSAPrivateKey:
        """The private half."""
        return rsa.generate_private_key(public_exponent=65537, key_size=self._bits)

    def jwk(self, **about: object) -> dict[str, Any]:
        """The public half."""
        public = self.private.public_key().public_numbers()
        return {"kty": "RSA", "kid": self.kid, "use": "sig", "alg": "RS256", "n": number(public.n), "e": number(public.e), **about}

    def sign(self, data: bytes, alg: str = "RS256") -> bytes:
        """A signature, for RS256 or PS256."""
        if alg == "PS256":
            return self.private.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())


class EcKey:
    """A key pair on P-256."""

    def __init__(self, kid: str = "curve") -> None:
        self.kid = kid
        self.private: EllipticCurvePrivateKey = ec.generate_private_key(ec.SECP256R1())

    def jwk(self, **about: object) -> dict[str, Any]:
        """The public half."""
        public = self.private.public_key().public_numbers()
        return {"kty": "EC", "kid": self.kid, "crv": "P-256", "x": number(public.x, 32), "y": number(public.y, 32), **about}

    def sign(self, data: bytes, alg: str = "ES256") -> bytes:
        """A signature as RFC 7518 has it: two numbers, one after the other."""
        r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed(claims: Mapping[str, Any], key: RsaKey | EcKey, *, alg: str = "RS256", **header: object) -> str:
    """A token. What the header names replaces the usual; None takes it away."""
    given = {"alg": alg, "typ": "JWT", "kid": key.kid, **header}
    start = f"{segment({name: value for name, value in given.items() if value is not None})}.{segment(claims)}"
    return f"{start}.{b64(key.sign(start.encode(), alg))}"


class JwksServer:
    """Answers with a JWK set over real sockets. `mode`: "well", "stalls", "trickles", "fails", "nonsense", "redirects", "huge"."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.mode = "well"
        self.asked = 0
        self.port = 0
        self.released = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"http://127.0.0.1:{self.port}/.well-known/jwks.json"

    async def start(self) -> None:
        """Listens, on the port that it had before if it had one."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """Nobody listens any more; whoever is being answered is cut off."""
        assert self._server is not None
        self._server.close()
        self.released.set()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            await self._say(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter) -> None:
        body, status = json.dumps({"keys": self.keys}).encode(), "200 OK"
        more = ""
        match self.mode:
            case "stalls":
                await self.released.wait()
                return
            case "trickles":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
                await writer.drain()
                await self.released.wait()
                return
            case "fails":
                status = "500 Internal Server Error"
            case "nonsense":
                body = b"<html>keys</html>"
            case "redirects":
                status, more = "302 Found", f"Location: http://127.0.0.1:{self.port}/elsewhere\r\n"
            case "huge":
                body = b" " * 2_000_000
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()


@asynccontextmanager
async def issuing(*keys: RsaKey | EcKey) -> AsyncIterator[JwksServer]:
    """A server with these keys for the time of the block."""
    server = JwksServer()
    server.keys = [key.jwk() for key in keys]
    await server.start()
    try:
        yield server
    finally:
        await server.die()

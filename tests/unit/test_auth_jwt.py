"""Signatures: the vectors of RFC 7515 and RFC 7519, and tokens that somebody hostile would send."""

import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives import serialization

from agent_memory.auth.jwt import header_of, read_keys, verified
from agent_memory.contracts.errors import Unauthorized
from support.issuer import EcKey, RsaKey, b64, segment, signed

CLAIMS = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
PAYLOAD = b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'

# RFC 7515, appendix A.1
A1 = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
A1_KEY = {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}
# RFC 7515, appendix A.2
A2_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
A2 = f"eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.{A2_SIGNATURE}"
A2_KEY = {
    "kty": "RSA",
    "e": "AQAB",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_"
    "YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxv"
    "b3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
}
# RFC 7515, appendix A.3
A3 = f"eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
A3_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
# RFC 7515, appendix A.5, and RFC 7519, section 6.1
A5 = f"eyJhbGciOiJub25lIn0.{CLAIMS}."
# RFC 7519, appendix A.1: an encrypted token has five parts
ENCRYPTED = "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.QR1Owv2ug2WyPBnbQrRARTeEk9kDO2w8qDcj.AxY8DC.MK.fi"

RSA, OTHER, CURVE = RsaKey(), RsaKey("two"), EcKey()
EVERY = frozenset({"RS256", "PS256", "ES256"})


def keys_of(*keys: dict[str, object]) -> dict[str, list[object]]:
    return dict(read_keys(json.dumps({"keys": [{"kid": "k", **key} for key in keys]}).encode()))


def refusal(token: str, *keys: dict[str, object], algorithms: frozenset[str] = EVERY) -> str:
    """Why a token is not accepted."""
    known = read_keys(json.dumps({"keys": list(keys)}).encode()) if keys else {}

    def accepted() -> bytes:
        header = header_of(token, algorithms)
        return verified(token, header.alg, known.get(header.kid, []))

    with pytest.raises(Unauthorized) as raised:
        accepted()
    return raised.value.detail


@pytest.mark.parametrize(("token", "key", "alg"), [(A2, A2_KEY, "RS256"), (A3, A3_KEY, "ES256")])
def test_the_signatures_of_the_rfc_are_right(token: str, key: dict[str, object], alg: str) -> None:
    assert verified(token, alg, keys_of(key)["k"]) == PAYLOAD  # type: ignore[arg-type]


@pytest.mark.parametrize(("token", "key", "alg"), [(A2, A2_KEY, "RS256"), (A3, A3_KEY, "ES256")])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_one_changed_character_of_the_rfcs_tokens_is_found(token: str, key: dict[str, object], alg: str, part: int) -> None:
    parts = token.split(".")
    middle = len(parts[part]) // 2
    parts[part] = f"{parts[part][:middle]}{'A' if parts[part][middle] != 'A' else 'B'}{parts[part][middle + 1 :]}"
    with pytest.raises(Unauthorized, match="Invalid JWT: Signature verification failed"):
        verified(".".join(parts), alg, keys_of(key)["k"])  # type: ignore[arg-type]


def test_the_secret_key_of_the_rfc_is_no_key_here() -> None:
    with pytest.raises(ValueError, match="no key"):
        keys_of(A1_KEY)


@pytest.mark.parametrize("token", [A1, A2, A3, A5])
def test_the_rfcs_tokens_name_no_key(token: str) -> None:
    assert refusal(token) == "Token missing key identifier (kid)"


@pytest.mark.parametrize(
    "token",
    [
        *("", "x", "a.b", "a.b.c.d", ENCRYPTED, "....", "a..c", ".b.c", f"eyJhbGciOiJSUzI1NiJ9 .{CLAIMS}.AA"),
        f"{b64(b'[1]')}.e30.AA",
        f"{b64(b'null')}.e30.AA",
        f"{b64(b'{')}.e30.AA",
        f"{b64(bytes([0xFF]))}.e30.AA",
        f"{b64(b'[' * 5_000)}.e30.AA",
        f"{segment({'alg': 'RS256', 'kid': 7})}.e30.AA",
        f"{segment({'alg': 'RS256', 'kid': ['one']})}.e30.AA",
        f"{segment({'alg': None, 'kid': 'one'})}.e30.AA",
        f"{segment({'kid': 'one'})}.e30.AA",
        f"{segment({'alg': ['RS256'], 'kid': 'one'})}.e30.AA",
        signed({}, RSA) + "=",
        signed({}, RSA) + "\n",
    ],
)
def test_what_is_no_token_is_refused_by_its_looks(token: str) -> None:
    assert refusal(token) == "Invalid token header"


NOT_ALLOWED = "Invalid JWT: The specified alg value is not allowed"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "HS256", "HS512", "RS512", "ES512", "", "RS256 ", "rs256"])
def test_an_algorithm_that_is_not_configured_is_refused(alg: str) -> None:
    for signature in ("", "AA"):
        assert refusal(f"{segment({'alg': alg, 'kid': 'one'})}.{CLAIMS}.{signature}", RSA.jwk()) == NOT_ALLOWED


def test_a_public_key_used_as_a_shared_secret_signs_nothing() -> None:
    public = RSA.private.public_key()
    pem = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    for secret in (public.public_bytes(*pem), public.public_bytes(*pem).strip(), json.dumps(RSA.jwk()).encode()):
        start = f"{segment({'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'})}.{CLAIMS}"
        forged = f"{start}.{b64(hmac.digest(secret, start.encode(), hashlib.sha256))}"
        assert refusal(forged, RSA.jwk()) == NOT_ALLOWED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jku", "http://127.0.0.1:1/keys"),
        ("x5u", "http://127.0.0.1:1/certificate"),
        ("jwk", RSA.jwk()),
        ("x5c", ["MIIB"]),
        ("crit", ["exp"]),
        ("crit", []),
        ("b64", False),
    ],
)
def test_a_token_does_not_say_how_it_is_to_be_checked(name: str, value: object) -> None:
    assert refusal(signed({}, RSA, **{name: value}), RSA.jwk()) == f"Invalid JWT: the header parameter {name} is not allowed"


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "dpop+jwt", "", 7])
def test_a_token_that_was_made_for_something_else_is_refused(kind: object) -> None:
    assert refusal(signed({}, RSA, typ=kind), RSA.jwk()) == "Invalid JWT: this is no access token (typ)"


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT", None])
def test_an_access_token_is_accepted_by_every_name_of_its_type(kind: str | None) -> None:
    assert (
        verified(signed({"a": 1}, RSA, typ=kind), "RS256", read_keys(json.dumps({"keys": [RSA.jwk()]}).encode())["one"])
        == b'{"a": 1}'
    )


def test_a_key_under_a_name_that_is_not_its_own_proves_nothing() -> None:
    assert refusal(signed({}, OTHER, kid="one"), RSA.jwk()) == "Invalid JWT: Signature verification failed"


def test_of_two_keys_with_one_name_either_may_have_signed() -> None:
    keys = read_keys(json.dumps({"keys": [RSA.jwk(), OTHER.jwk(kid="one")]}).encode())["one"]
    for key in (RSA, OTHER):
        assert verified(signed({}, key, kid="one"), "RS256", keys) == b"{}"


def test_a_key_is_used_with_its_own_algorithms_alone() -> None:
    assert refusal(signed({}, RSA, alg="PS256"), RSA.jwk()) == f"{NOT_ALLOWED} for this key"
    assert refusal(signed({}, CURVE, alg="RS256"), CURVE.jwk()) == f"{NOT_ALLOWED} for this key"
    assert (
        verified(signed({}, RSA, alg="PS256"), "PS256", read_keys(json.dumps({"keys": [RSA.jwk(alg=None)]}).encode())["one"])
        == b"{}"
    )
    assert (
        verified(signed({}, CURVE, alg="ES256"), "ES256", read_keys(json.dumps({"keys": [CURVE.jwk()]}).encode())["curve"]) == b"{}"
    )


@pytest.mark.parametrize("cut", [0, 1, 63, 66])
def test_a_signature_of_another_length_is_none(cut: int) -> None:
    start, _, signature = signed({}, CURVE, alg="ES256").rpartition(".")
    short = f"{start}.{(signature + 'AAAA')[: cut * 4 // 3]}"
    assert refusal(short, CURVE.jwk()).startswith("Invalid JWT")


def test_a_signature_of_zeros_is_none() -> None:
    start = f"{segment({'alg': 'ES256', 'kid': 'curve'})}.{CLAIMS}"
    assert refusal(f"{start}.{b64(bytes(64))}", CURVE.jwk()) == "Invalid JWT: Signature verification failed"


@pytest.mark.parametrize(
    "key",
    [
        RSA.jwk(use="enc"),
        RSA.jwk(key_ops=["sign"]),
        RSA.jwk(kid=None),
        RSA.jwk(kid=7),
        RSA.jwk(kty="oct", k="c2VjcmV0"),
        RSA.jwk(kty="EC"),
        RSA.jwk(n=""),
        RSA.jwk(n="!!"),
        RSA.jwk(n=7),
        RSA.jwk(alg="HS256"),
        RsaKey(bits=1024).jwk(),
        CURVE.jwk(crv="P-384"),
        CURVE.jwk(x="AAAA"),
        CURVE.jwk(crv="secp256k1"),
        CURVE.jwk(crv=["P-256"]),
        {},
    ],
)
def test_a_key_that_cannot_check_a_token_is_passed_over(key: dict[str, object]) -> None:
    assert list(read_keys(json.dumps({"keys": [key, OTHER.jwk(), "text", None]}).encode())) == ["two"]


@pytest.mark.parametrize("document", [b"", b"<html>", b"[]", b"{}", b'{"keys":7}', b'{"keys":[]}', b"[" * 100_000, b"\xff"])
def test_what_is_no_set_of_keys_says_so(document: bytes) -> None:
    with pytest.raises(ValueError, match="JWK set"):
        read_keys(document)


def test_the_private_half_of_a_key_that_an_issuer_gave_away_is_not_kept() -> None:
    private = RSA.jwk(d=A2_KEY["n"], p="AQAB", q="AQAB")
    assert verified(signed({}, RSA), "RS256", read_keys(json.dumps({"keys": [private]}).encode())["one"]) == b"{}"

"""What clients are told about credentials: metadata of the resource (RFC 9728), and challenges (RFC 6750). Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent_memory.runtime.settings.auth import AuthSettings

WELL_KNOWN = "/.well-known/oauth-protected-resource"


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """This server as a protected resource. `url`: of the server, without a path; empty: as a request says."""

    auth: AuthSettings
    url: str = ""

    @property
    def scopes(self) -> Mapping[str, str]:
        """What each permission is called; none where every token reads and writes."""
        if self.auth.auth_mode == "token":
            return {name: name for name in ("read", "write", "admin")}
        named = {"read": self.auth.oauth2_read_scope, "write": self.auth.oauth2_write_scope, "admin": self.auth.oauth2_admin_scope}
        return {permission: name for permission, name in named.items() if name}

    def base(self, scheme: str, host: str) -> str:
        """The URL of the server."""
        return self.url.rstrip("/") or f"{scheme}://{host}"

    def metadata(self, base: str, path: str) -> dict[str, Any]:
        """The document about the endpoint at a path, "" for the server as a whole."""
        issuer = [self.auth.oauth2_issuer_url] if self.auth.auth_mode == "oauth2" else []
        return {
            "resource": base + path,
            "authorization_servers": issuer,
            **({"scopes_supported": list(self.scopes.values())} if self.scopes else {}),
            "bearer_methods_supported": ["header"],
            "resource_name": "Agent Memory",
        }

    def challenge(self, base: str, path: str, *, error: str = "", description: str = "", permission: str = "") -> str:
        """The value of a WWW-Authenticate header."""
        said = {
            "error": error,
            "error_description": description,
            "scope": self.scopes.get(permission or "read", ""),
            "resource_metadata": f"{base}{WELL_KNOWN}{path}",
        }
        return "Bearer " + ", ".join(f'{name}="{_quoted(value)}"' for name, value in said.items() if value)


def _quoted(value: str) -> str:
    kept = "".join(character for character in value if character.isascii() and character.isprintable())
    return kept.replace("\\", "").replace('"', "'")

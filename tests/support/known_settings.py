"""Names of everything that a service reads from its environment."""

import msgspec

from agent_memory.runtime.settings import Settings
from agent_memory.runtime.settings.auth import AuthSettings, Switches

LIBPQ = frozenset({"PGPASSWORD"})
FIELDS = [field for kind in (Settings, AuthSettings, Switches) for field in msgspec.structs.fields(kind)]
SETTINGS = LIBPQ | {field.encode_name.upper() for field in FIELDS}

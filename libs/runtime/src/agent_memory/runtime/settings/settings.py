"""The one struct of all topics."""

import msgspec

from agent_memory.runtime.settings.kinds import shown
from agent_memory.runtime.settings.timeline import TimelineSettings


class Settings(TimelineSettings, frozen=True, kw_only=True):
    """What every service reads. Each field is the environment variable of the same name in upper case."""

    def __repr__(self) -> str:
        fields = msgspec.structs.fields(self)
        return f"Settings({', '.join(f'{field.name}={shown(getattr(self, field.name), field.type)!r}' for field in fields)})"

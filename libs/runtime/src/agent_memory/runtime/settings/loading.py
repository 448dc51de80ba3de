"""Reading and checking everything at once."""

import os
from collections.abc import Mapping

from agent_memory.runtime.settings.accepted import Accepted
from agent_memory.runtime.settings.auth import load_auth
from agent_memory.runtime.settings.checks import complaint
from agent_memory.runtime.settings.parsing import SettingsError, parsed
from agent_memory.runtime.settings.settings import Settings


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. Raises SettingsError naming the first variable that does not fit, whoever would read it:
    a mistake is to be heard at the start, not when one service of many is looked at.
    """
    environment = os.environ if environment is None else environment
    settings = parsed(Settings, environment)
    parsed(Accepted, environment)
    load_auth(environment)
    if (wrong := complaint(settings)) is not None:
        raise SettingsError(wrong)
    return settings

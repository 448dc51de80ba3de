"""Settings, read once from the environment into one frozen struct. A wrong value stops the start with its name.

One file a topic, each a struct that adds to the one before: servers, models, working memory, long-term memory; authentication
apart. What the server reads whose place this takes, and nothing here needs, is in `accepted`. docs/settings.md is made from the
docstrings.
"""

from agent_memory.runtime.settings.loading import load
from agent_memory.runtime.settings.longterm import QUERY_PROMPT
from agent_memory.runtime.settings.parsing import SettingsError, parsed
from agent_memory.runtime.settings.settings import Settings

__all__ = ["QUERY_PROMPT", "Settings", "SettingsError", "load", "parsed"]

"""`agent-memory version`."""

from importlib.metadata import version as installed_version

from agent_memory.cli.output import AsJson, print_json


def version(as_json: AsJson = False) -> None:
    """Print the version, in the words that scripts for the Redis agent memory server look for."""
    number = installed_version("agent-memory")
    if as_json:
        print_json({"version": number})
    else:
        print(f"agent-memory-server version {number}")

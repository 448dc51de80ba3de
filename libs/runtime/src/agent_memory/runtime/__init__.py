"""What every service needs to run: settings, logging, telemetry, broker, models."""

from agent_memory.runtime.stopping import guard_imports

guard_imports()

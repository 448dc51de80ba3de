"""What every service needs to run: settings, logging, telemetry, broker, models."""

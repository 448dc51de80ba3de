"""Where servers are, where this one listens, and how it is watched."""

import msgspec

from agent_memory.runtime.settings.kinds import Address


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Connections, ports, limits of time and size, logs and traces."""

    database_url: Address = "postgresql://127.0.0.1:5432/agent_memory"
    """Postgres with the event log."""
    redis_url: Address = "redis://127.0.0.1:6379/0"
    """Redis with search: the bus, the search indexes and every other view. `redis://`, `rediss://` or `unix://`."""
    working_memory_redis_url: Address = ""
    """Redis that holds the sessions' working memory, and nothing else; it needs no search. Empty: REDIS_URL."""
    host: str = "127.0.0.1"
    """Address that the gateway listens on. Beyond this machine only with authentication, or with ALLOW_OPEN."""
    port: int = 8000
    """Where the gateway answers HTTP."""
    grpc_enabled: bool = True
    """Whether the gateway answers gRPC too."""
    grpc_host: str = "localhost"
    """Address that gRPC listens on; `localhost`: both 127.0.0.1 and ::1. Beyond this machine as HOST."""
    grpc_port: int = 50051
    """Where the gateway answers gRPC."""
    grpc_tls_cert_file: str = ""
    """Certificate chain of the gRPC server (PEM); empty: no TLS."""
    grpc_tls_key_file: str = ""
    """Its private key (PEM)."""
    grpc_tls_client_ca_file: str = ""
    """Who must have signed the certificate of whoever connects (PEM); empty: no certificate is asked for."""
    grpc_max_message_bytes: int = 10_000_000
    """Longest gRPC message; a longer one is refused as RESOURCE_EXHAUSTED."""
    mcp_host: str = "127.0.0.1"
    """Address that `agent-memory mcp` listens on in its HTTP modes. Beyond this machine as HOST."""
    mcp_port: int = 9000
    """Where it answers; 0: any free port, which the log tells."""
    mcp_resource_url: str = ""
    """The URL by which MCP clients reach it, such as `https://memory.example`; empty: as each request says."""
    mcp_allowed_origins: tuple[str, ...] = ()
    """JSON list of the web pages (`https://app.example`) whose scripts may call it; others only from this machine to this one."""
    default_mcp_namespace: str = ""
    """Namespace of MCP tools where neither the URL nor the call names one."""
    default_mcp_user_id: str = ""
    """User of MCP tools where neither the URL nor the call names one."""
    metrics_port: int = 0
    """Where a background service answers /health and /metrics; 0: nowhere. `agent-memory up` gives one to each."""
    command_timeout_seconds: float = 10.0
    """How long a gateway waits for the reply to a command before it asks the log."""
    drain_seconds: float = 0.0
    """How long a gateway that was told to stop still takes requests, while /ready says no and each answer closes its connection:
    until those who send it requests have seen that. Then it finishes what it has in hand.
    """
    read_wait_seconds: float = 5.0
    """Longest wait of a read that asks for `min_position`."""
    job_schedules: str = ""
    """Other times for scheduled jobs, apart by semicolons: `hourly-rollup=0 5 * * * * Europe/Berlin; index-check=off`. Six fields
    from the second to the day of the week, a time zone (UTC), or `off`: not by the clock, and by nobody who resumes it.
    """
    max_body_bytes: int = 10_000_000
    """Longest request body; a longer one is answered 413."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING, ERROR or CRITICAL."""
    log_format: str = "json"
    """`json`: one object a line; `console`: for people."""
    otel_exporter_otlp_endpoint: str = ""
    """Where traces go, from the HTTP request to the index write; empty: nowhere."""
    otel_service_name: str = ""
    """Name of the service in traces; empty: `agent-memory-` and its own."""
    service_replica: str = ""
    """Name of this replica among those of its service; empty: host and process id."""

    @property
    def views_redis_url(self) -> str:
        """Where the sessions' working memory lies."""
        return self.working_memory_redis_url or self.redis_url

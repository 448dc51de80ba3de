"""Where gRPC listens: the service, its health, and its description for whoever asks by reflection."""

from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from agent_memory.contracts.proto import memory_pb2, memory_pb2_grpc
from agent_memory.gateway.edges.grpc.service import MemoryService
from agent_memory.gateway.gateway import Gateway
from agent_memory.runtime.settings import Settings, SettingsError

NAME: str = memory_pb2.DESCRIPTOR.services_by_name["MemoryService"].full_name
V1 = "grpc.reflection.v1.ServerReflection"
SERVICES = (NAME, health.SERVICE_NAME, reflection.SERVICE_NAME, V1)


async def start(gateway: Gateway, settings: Settings) -> tuple[grpc.aio.Server, list[str]]:
    """A server that answers, and the addresses it listens on. Raises SettingsError for a port or certificate that is of no use."""
    longest = settings.grpc_max_message_bytes
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", longest),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
    )
    memory_pb2_grpc.add_MemoryServiceServicer_to_server(MemoryService(gateway), server)  # type: ignore[no-untyped-call]
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    _describe(server)
    addresses = _listen(server, settings)
    await server.start()
    for name in ("", NAME):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    return server, addresses


def _describe(server: grpc.aio.Server) -> None:
    """Reflection in both versions: they say the same on the wire, and tools ask for the newer one first."""
    reflection.enable_server_reflection(SERVICES, server)
    stream = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(SERVICES).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(V1, {"ServerReflectionInfo": stream}),))


def _listen(server: grpc.aio.Server, settings: Settings) -> list[str]:
    hosts = ["127.0.0.1", "[::1]"] if settings.grpc_host == "localhost" else [_bracketed(settings.grpc_host)]
    credentials = _credentials(settings)
    found, port = [], settings.grpc_port
    for host in hosts:
        address = f"{host}:{port}"
        try:
            bound = server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        except RuntimeError:
            bound = 0
        if bound:
            port = bound
            found.append(f"{host}:{port}")
        elif host != "[::1]":  # a machine without IPv6 is none the worse for it
            raise SettingsError(f"GRPC_PORT={settings.grpc_port} cannot be used: nothing can listen on {address}; is it taken?")
    return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if not settings.grpc_tls_cert_file:
        return None
    key = _read("GRPC_TLS_KEY_FILE", settings.grpc_tls_key_file)
    certificate = _read("GRPC_TLS_CERT_FILE", settings.grpc_tls_cert_file)
    authority = _read("GRPC_TLS_CLIENT_CA_FILE", settings.grpc_tls_client_ca_file)
    pairs = [(key, certificate)]
    return grpc.ssl_server_credentials(pairs, root_certificates=authority or None, require_client_auth=bool(authority))


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError as error:
        raise SettingsError(f"{setting}={path!r} cannot be read: {error.strerror}") from None

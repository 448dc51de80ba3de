"""Where gRPC listens: the service, its health, and its description for whoever asks by reflection."""

import socket
import ssl
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from agent_memory.contracts.proto import memory_pb2, memory_pb2_grpc
from agent_memory.gateway.edges.grpc.parsing import checked, handlers_of
from agent_memory.gateway.edges.grpc.service import MemoryService
from agent_memory.gateway.gateway import Gateway
from agent_memory.runtime.settings import Settings, SettingsError

NAME: str = memory_pb2.DESCRIPTOR.services_by_name["MemoryService"].full_name
ALPHA_PACKAGE, V1_PACKAGE = "grpc.reflection.v1alpha", "grpc.reflection.v1"
V1 = f"{V1_PACKAGE}.ServerReflection"
SERVICES = (NAME, health.SERVICE_NAME, reflection.SERVICE_NAME, V1)


class Door:
    """A server that answers, and the addresses it listens on."""

    def __init__(self, server: grpc.aio.Server, checks: health.aio.HealthServicer, addresses: list[str]) -> None:
        self._server = server
        self._checks = checks
        self.addresses = addresses

    async def leave(self) -> None:
        """Answer all that comes, but say that this server serves no more: clients that look at its health go elsewhere."""
        await self._checks.enter_graceful_shutdown()

    async def stop(self, grace_seconds: float) -> None:
        """Accept nothing more, and let what is in flight finish for a while. Safe to call twice."""
        await self.leave()
        await self._server.stop(grace_seconds)


async def start(gateway: Gateway, settings: Settings) -> Door:
    """Begin to answer. Raises SettingsError for a port or certificate that is of no use."""
    longest = settings.grpc_max_message_bytes
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", longest),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
    )
    checks = health.aio.HealthServicer()
    handlers = {
        NAME: handlers_of(memory_pb2_grpc.add_MemoryServiceServicer_to_server, MemoryService(gateway)),
        health.SERVICE_NAME: handlers_of(health_pb2_grpc.add_HealthServicer_to_server, checks),
        **_descriptions(),
    }
    server.add_generic_rpc_handlers(tuple(grpc.method_handlers_generic_handler(name, calls) for name, calls in handlers.items()))
    addresses = _listen(server, settings)
    await server.start()
    for name in ("", NAME):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    return Door(server, checks, addresses)


def _descriptions() -> dict[str, dict[str, Any]]:
    """Reflection in both versions: they say the same on the wire, and tools ask for the newer one first."""
    descriptor_pool.Default().Add(_as_v1())
    stream = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(SERVICES).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    calls = {"ServerReflectionInfo": checked("ServerReflectionInfo", stream)}
    return {reflection.SERVICE_NAME: calls, V1: calls}


def _as_v1() -> descriptor_pb2.FileDescriptorProto:
    """The description of v1alpha under the name of v1, for tools that want to know what everything listed looks like."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = "grpc/reflection/v1/reflection.proto", V1_PACKAGE
    for message in file.message_type:
        for field in filter(lambda one: one.type_name, message.field):
            field.type_name = field.type_name.replace(f".{ALPHA_PACKAGE}.", f".{V1_PACKAGE}.")
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(f".{ALPHA_PACKAGE}.", f".{V1_PACKAGE}.")
        method.output_type = method.output_type.replace(f".{ALPHA_PACKAGE}.", f".{V1_PACKAGE}.")
    return file


def hosts_of(host: str) -> list[str]:
    """Where to listen, as gRPC writes addresses. This machine's own are two, where it has both."""
    if host.lower() == "localhost":
        return ["127.0.0.1", *(["[::1]"] if _has_ipv6() else [])]
    return [_bracketed(host)]


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _listen(server: grpc.aio.Server, settings: Settings) -> list[str]:
    credentials = credentials_of(settings)
    found, port = [], settings.grpc_port
    for host in hosts_of(settings.grpc_host):
        address = f"{host}:{port}"
        try:
            bound = server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        except RuntimeError:
            # Also of the second address: whoever connects to that one would be answered by somebody else.
            raise SettingsError(
                f"GRPC_PORT={settings.grpc_port} cannot be used: nothing can listen on {address}; is it taken?"
            ) from None
        port = bound
        found.append(f"{host}:{port}")
    return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def credentials_of(settings: Settings) -> grpc.ServerCredentials | None:
    """What the server shows, and what it asks of those who connect; None without TLS. Raises SettingsError."""
    if not settings.grpc_tls_cert_file:
        return None
    key = _read("GRPC_TLS_KEY_FILE", settings.grpc_tls_key_file)
    certificate = _read("GRPC_TLS_CERT_FILE", settings.grpc_tls_cert_file)
    authority = _read("GRPC_TLS_CLIENT_CA_FILE", settings.grpc_tls_client_ca_file)
    checked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        checked.load_cert_chain(settings.grpc_tls_cert_file, settings.grpc_tls_key_file)
    except ssl.SSLError as error:
        raise SettingsError(f"GRPC_TLS_CERT_FILE and GRPC_TLS_KEY_FILE cannot be used: {error}") from None
    try:
        if authority:
            checked.load_verify_locations(settings.grpc_tls_client_ca_file)
    except ssl.SSLError as error:
        raise SettingsError(f"GRPC_TLS_CLIENT_CA_FILE cannot be used: {error}") from None
    pairs = [(key, certificate)]
    return grpc.ssl_server_credentials(pairs, root_certificates=authority or None, require_client_auth=bool(authority))


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError as error:
        raise SettingsError(f"{setting}={path!r} cannot be read: {error.strerror}") from None

"""A gRPC client that knows nothing but what the server says of itself: its messages are made from reflected descriptors."""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2

V1, V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"
SECONDS = 30.0


class Reflected:
    """One service over one channel. Requests and answers are JSON-like, with the field names of the description."""

    def __init__(self, address: str, service: str = "memory.MemoryService", *, version: str = V1) -> None:
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        self._version = version
        self._pool = descriptor_pool.DescriptorPool()
        known: set[str] = set()
        waiting = [self.asked(file_containing_symbol=service)]
        while waiting:
            for raw in waiting.pop().file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(raw)
                if file.name not in known:
                    known.add(file.name)
                    self._pool.Add(file)  # type: ignore[no-untyped-call]
        self.service = self._pool.FindServiceByName(service)  # type: ignore[no-untyped-call]

    def asked(self, **question: str) -> Any:
        """One question of the reflection service."""
        ask = self.channel.stream_stream(
            f"/{self._version}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        return next(iter(ask(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=SECONDS)))

    def services(self) -> list[str]:
        """What the server offers."""
        return [one.name for one in self.asked(list_services="").list_services_response.service]

    def call(self, method: str, request: dict[str, Any] | None = None, **metadata: str) -> dict[str, Any]:
        """The answer to a unary call. Raises grpc.RpcError."""
        return self.with_trailer(method, request, **metadata)[0]

    def with_trailer(
        self, method: str, request: dict[str, Any] | None = None, **metadata: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The answer and the metadata at its end."""
        asked, answered = self._kinds(method)
        call = self.channel.unary_unary(
            f"/{self.service.full_name}/{method}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        answer, done = call.with_call(json_format.ParseDict(request or {}, asked()), timeout=SECONDS, metadata=_metadata(metadata))
        return _shown(answer), dict(done.trailing_metadata() or ())

    def streamed(self, method: str, requests: Iterable[dict[str, Any]], **metadata: str) -> dict[str, Any]:
        """The answer to a call that takes a stream."""
        asked, answered = self._kinds(method)
        call = self.channel.stream_unary(
            f"/{self.service.full_name}/{method}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        given = (json_format.ParseDict(one, asked()) for one in requests)
        return _shown(call(given, timeout=SECONDS, metadata=_metadata(metadata)))

    def close(self) -> None:
        """Hang up."""
        self.channel.close()

    def _kinds(self, method: str) -> tuple[Any, Any]:
        found = self.service.methods_by_name[method]
        return message_factory.GetMessageClass(found.input_type), message_factory.GetMessageClass(found.output_type)


def _metadata(named: dict[str, str]) -> list[tuple[str, str]]:
    return [(name.replace("_", "-"), value) for name, value in named.items()]


def _shown(answer: Any) -> dict[str, Any]:
    shown: dict[str, Any] = json_format.MessageToDict(answer, preserving_proto_field_name=True, use_integers_for_enums=True)
    return shown

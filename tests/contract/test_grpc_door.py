"""The gRPC door itself: who comes in, how faults are told, jobs, reflection, health, TLS, where it listens, deadlines."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from agent_memory.auth.principal import IMPLIED, Principal
from agent_memory.contracts import errors as faults
from agent_memory.contracts.errors import MemoryFault, Unauthorized
from agent_memory.contracts.jobs import JobRun, JobState
from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.gateway.app import create_gateway
from agent_memory.gateway.edges.grpc.server import credentials_of, hosts_of, start
from agent_memory.gateway.memory import MemorySystem
from agent_memory.gateway.memory_jobs import MemoryJobs
from agent_memory.gateway.settings import check_open
from agent_memory.runtime import telemetry
from agent_memory.runtime.settings import Settings, SettingsError, load
from support.rpc import Rpc, rpc
from support.slow import Slow

PEOPLE = {
    "reader": Principal(permissions=IMPLIED["read"]),
    "writer": Principal(permissions=IMPLIED["write"]),
    "admin": Principal(permissions=IMPLIED["admin"]),
    "bound": Principal(permissions=IMPLIED["admin"], namespaces=("work",), user_id="anna"),
}
HOURLY = pb.PauseJobRequest(job_name="hourly-rollup")


async def authenticate(headers: Mapping[bytes, bytes]) -> Principal:
    found = PEOPLE.get(headers.get(b"authorization", b"").decode().removeprefix("Bearer "))
    if found is None:
        raise Unauthorized("who are you")
    return found


def named(name: str, **scope: str) -> dict[str, Any]:
    return {
        "metadata": (("authorization", f"Bearer {name}"), *((f"x-{key.replace('_', '-')}", said) for key, said in scope.items()))
    }


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@pytest.fixture
async def closed(system: MemorySystem) -> AsyncIterator[Rpc]:
    """An edge that asks who comes."""
    async with rpc(authenticate=authenticate, **system.ports()) as edge:
        yield edge


async def status(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


DESCRIPTOR = pb.DESCRIPTOR.services_by_name["MemoryService"]
WRITES, ADMINISTERS = {"IngestEvent", "IngestEvents"}, {"PauseJob", "ResumeJob", "RunJob"}
SAID = pb.Event(event_id="e1", session_id="s1")


def request_of(method: str) -> Any:
    request = getattr(pb, DESCRIPTOR.methods_by_name[method].input_type.name)()
    return iter([pb.IngestEventsRequest(events=[SAID])]) if method == "IngestEvents" else request


@pytest.mark.parametrize("method", sorted(DESCRIPTOR.methods_by_name))
async def test_every_method_asks_who_comes_and_what_they_may(closed: Rpc, method: str) -> None:
    call = getattr(closed.stub, method)
    assert await status(call(request_of(method))) == "UNAUTHENTICATED"
    allowed = ["admin"] if method in ADMINISTERS else ["writer", "admin"] if method in WRITES else ["reader", "writer", "admin"]
    for name in ("reader", "writer", "admin"):
        found = await status(call(request_of(method), **named(name)))
        assert (found == "PERMISSION_DENIED") is (name not in allowed), (name, found)


async def test_a_bound_credential_reaches_nothing_else(closed: Rpc, system: MemorySystem) -> None:
    request = pb.IngestEventRequest(event=pb.Event(event_id="e1", session_id="s1"))
    assert await status(closed.stub.IngestEvent(request, **named("bound"))) == "OK"
    assert [scope.path for scope, _ in system.sent] == ["default/work/anna"]
    for scope in ({"namespace": "home"}, {"user_id": "ben"}):
        for method in ("IngestEvent", "IngestEvents", "GetTocRoot", "GetEvents"):
            given = request if method == "IngestEvent" else request_of(method)
            assert await status(getattr(closed.stub, method)(given, **named("bound", **scope))) == "PERMISSION_DENIED", (
                method,
                scope,
            )
    assert await status(closed.stub.GetSchedulerStatus(pb.GetSchedulerStatusRequest(), **named("bound"))) == "OK"
    assert await status(closed.stub.PauseJob(HOURLY, **named("bound"))) == "PERMISSION_DENIED"
    assert len(system.sent) == 1


async def test_the_same_words_in_two_scopes_are_two_things(system: MemorySystem) -> None:
    async with rpc(**system.ports()) as edge:
        request = pb.IngestEventRequest(event=pb.Event(event_id="e1", session_id="s1"))
        scopes = [(("x-namespace", "a"),), (("x-namespace", "b"),), (("x-user-id-bin", "zoë".encode()),)]
        for scope in scopes:
            assert (await edge.stub.IngestEvent(request, metadata=scope)).created
            assert len((await edge.stub.GetEvents(pb.GetEventsRequest(to_timestamp_ms=1), metadata=scope)).events) == 1
        assert [scope.path for scope, _ in system.sent] == ["default/a/", "default/b/", "default//zoë"]


REFLECTION = [f"grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1alpha", "v1")]
GARBAGE = [b"\xff\xff\xff", b"\x0a\x05abc", b'{"event": {}}', pb.GetNodeRequest(node_id="ä").SerializeToString()[:-1]]


@pytest.mark.parametrize("method", sorted(DESCRIPTOR.methods_by_name))
@pytest.mark.parametrize("raw", GARBAGE)
async def test_bytes_that_are_no_message_are_the_callers_fault(
    system: MemorySystem, caplog: pytest.LogCaptureFixture, method: str, raw: bytes
) -> None:
    async with rpc(**system.ports()) as edge:
        channel, path = edge.channel, f"/{DESCRIPTOR.full_name}/{method}"
        call: Any = channel.stream_unary(path)(iter([raw])) if method == "IngestEvents" else channel.unary_unary(path)(raw)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        told = refused.value
        assert (told.code().name, (told.details() or "")[:30]) == ("INVALID_ARGUMENT", "the request cannot be parsed: ")
        assert await status(edge.stub.GetTocRoot(pb.GetTocRootRequest())) == "OK"
    assert caplog.records == []


@pytest.mark.parametrize("path", ["grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch", *REFLECTION])
async def test_the_services_beside_it_say_so_as_well(system: MemorySystem, caplog: pytest.LogCaptureFixture, path: str) -> None:
    async with rpc(**system.ports()) as edge:
        channel = edge.channel
        if path.endswith("Check"):
            assert await status(channel.unary_unary(f"/{path}")(b"\xff")) == "INVALID_ARGUMENT"
        else:
            call = channel.stream_stream(f"/{path}")(iter([b"\xff"]))
            assert await status(anext(aiter(call))) == "INVALID_ARGUMENT"
    assert caplog.records == []


async def test_an_unreadable_message_ends_its_stream(system: MemorySystem) -> None:
    async with rpc(**system.ports()) as edge:
        said = pb.IngestEventsRequest(events=[SAID]).SerializeToString()
        call = edge.channel.stream_unary(f"/{DESCRIPTOR.full_name}/IngestEvents")(iter([said, b"\xff"]))
        assert await status(call) == "INVALID_ARGUMENT"


FAULTS = {
    faults.Invalid("no", field="text"): ("INVALID_ARGUMENT", "text: no"),
    faults.Refused("no"): ("FAILED_PRECONDITION", "no"),
    faults.Unauthorized("no"): ("UNAUTHENTICATED", "no"),
    faults.Forbidden("no"): ("PERMISSION_DENIED", "no"),
    faults.NotFound("no"): ("NOT_FOUND", "no"),
    faults.Conflict("no"): ("ABORTED", "no"),
    faults.TooLarge("no"): ("RESOURCE_EXHAUSTED", "no"),
    faults.Unavailable("no"): ("UNAVAILABLE", "no"),
    faults.NeedsUpgrade("no"): ("UNAVAILABLE", "no"),
    MemoryFault("no"): ("INTERNAL", "no"),
    RuntimeError("secret"): ("INTERNAL", "internal error"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_a_fault_is_told_by_its_status(system: MemorySystem, fault: Exception) -> None:
    system.fault = fault
    counted = telemetry.GRPC_REQUESTS.labels("IngestEvent", FAULTS[fault][0])
    before = counted._value.get()
    async with rpc(**system.ports()) as edge:
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await edge.stub.IngestEvent(pb.IngestEventRequest(event=pb.Event(event_id="e1", session_id="s1")))
    assert (told.value.code().name, told.value.details()) == FAULTS[fault]
    assert counted._value.get() == before + 1


async def test_jobs_are_seen_paused_resumed_and_run(system: MemorySystem) -> None:
    jobs = MemoryJobs(system)
    last = JobRun(due_ms=1, started_ms=2, finished_ms=5, result="failed", error="no", metadata={"periods": "3"})
    jobs.states["hourly-rollup"] = JobState(run_count=24, error_count=1, last=last)
    async with rpc(**{**system.ports(), "jobs": jobs}) as edge:
        found = await edge.stub.GetSchedulerStatus(pb.GetSchedulerStatusRequest())
        assert found.scheduler_running
        hourly, second = found.jobs[0], found.jobs[1]
        assert (hourly.job_name, hourly.cron_expr, hourly.time_zone) == ("hourly-rollup", "0 0 * * * *", "UTC")
        assert (hourly.last_run_ms, hourly.last_duration_ms, hourly.last_result, hourly.last_error) == (2, 3, 2, "no")
        assert (hourly.run_count, hourly.error_count, dict(hourly.last_run_metadata)) == (24, 1, {"periods": "3"})
        assert hourly.next_run_ms > 0
        assert (second.last_result, second.HasField("last_error"), second.last_run_ms) == (0, False, 0)

        pausing = edge.stub.PauseJob(HOURLY)
        assert (await pausing) == pb.PauseJobResponse(success=True)
        assert int(dict(await pausing.trailing_metadata())["x-memory-position"]) > 0
        assert (await edge.stub.GetSchedulerStatus(pb.GetSchedulerStatusRequest())).jobs[0].is_paused
        assert (await edge.stub.ResumeJob(pb.ResumeJobRequest(job_name="hourly-rollup"))).success
        assert (await edge.stub.RunJob(pb.RunJobRequest(job_name="hourly-rollup"))).success
        again = await edge.stub.RunJob(pb.RunJobRequest(job_name="hourly-rollup"))
        assert (again.success, again.error) == (False, "Job is running: hourly-rollup")
        for method in ("PauseJob", "ResumeJob", "RunJob"):
            for name in ("nope", "", "a\0b"):
                request = request_of(method)
                request.job_name = name
                answer = await getattr(edge.stub, method)(request)
                assert (answer.success, answer.error) == (False, f"Job not found: {name}")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_the_server_describes_itself(closed: Rpc, version: str) -> None:
    service = f"grpc.reflection.{version}.ServerReflection"
    reflect = closed.channel.stream_stream(
        f"/{service}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="memory.MemoryService"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=service),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="memory.Nothing"),
    ]
    listed, described, itself, nothing = [answer async for answer in reflect(iter(asked))]
    names = {one.name for one in listed.list_services_response.service}
    assert {"memory.MemoryService", "grpc.health.v1.Health", service} <= names
    assert b"BrowseToc" in described.file_descriptor_response.file_descriptor_proto[0]
    assert itself.file_descriptor_response.file_descriptor_proto
    assert nothing.HasField("error_response")


async def test_health_tells_of_the_server_and_the_service(closed: Rpc) -> None:
    stub = health_pb2_grpc.HealthStub(closed.channel)
    for service in ("", "memory.MemoryService"):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert await status(stub.Check(health_pb2.HealthCheckRequest(service="nothing"))) == "NOT_FOUND"


async def test_a_deadline_ends_the_call_on_both_sides() -> None:
    system = Slow()
    async with rpc(**system.ports()) as edge:
        request = pb.IngestEventRequest(event=pb.Event(event_id="e1", session_id="s1"))
        assert await status(edge.stub.IngestEvent(request, timeout=0.05)) == "DEADLINE_EXCEEDED"
        stream = iter([pb.IngestEventsRequest(events=[request.event])])
        assert await status(edge.stub.IngestEvents(stream, timeout=0.05)) == "DEADLINE_EXCEEDED"
    assert system.given_up


async def test_a_server_that_stops_lets_what_is_in_flight_finish() -> None:
    system = Slow()
    settings = Settings(grpc_port=0)
    door = await start(create_gateway(settings, **system.ports()), settings)
    async with grpc.aio.insecure_channel(door.addresses[0]) as channel:
        method = channel.unary_unary(
            "/memory.MemoryService/IngestEvent",
            request_serializer=pb.IngestEventRequest.SerializeToString,
            response_deserializer=pb.IngestEventResponse.FromString,
        )
        call = method(pb.IngestEventRequest(event=pb.Event(event_id="e1", session_id="s1")))
        await system.asked.wait()
        stopping = asyncio.create_task(door.stop(10))
        system.released.set()
        assert (await call).created
        await stopping
    await door.stop(0)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_it_listens_on_both_addresses_of_this_machine(host: str) -> None:
    if host not in hosts_of("localhost"):
        pytest.skip("this machine has no IPv6")
    async with rpc(host=host, **MemorySystem().ports()) as edge:
        assert edge.address.startswith(host)
        assert await status(edge.stub.GetTocRoot(pb.GetTocRootRequest())) == "OK"


async def test_a_port_that_is_taken_is_named(closed: Rpc) -> None:
    port = closed.address.rpartition(":")[2]
    settings = Settings(grpc_port=int(port))
    with pytest.raises(SettingsError, match=f"GRPC_PORT={port} cannot be used: nothing can listen on 127.0.0.1:{port}"):
        await start(create_gateway(settings, **MemorySystem().ports()), settings)


def test_it_listens_beyond_this_machine_only_when_somebody_keeps_strangers_out() -> None:
    with pytest.raises(SettingsError, match=r"GRPC_HOST='0\.0\.0\.0'"):
        check_open(Settings(grpc_host="0.0.0.0"), allowed=False)
    check_open(Settings(grpc_host="0.0.0.0"), allowed=True)
    check_open(Settings(grpc_host="0.0.0.0", grpc_enabled=False), allowed=False)


def content(path: str) -> bytes:
    return Path(path).read_bytes()


async def test_with_a_certificate_it_speaks_tls(certificate: tuple[str, str]) -> None:
    chain, key = certificate
    settings = Settings(grpc_tls_cert_file=chain, grpc_tls_key_file=key)
    trusting = grpc.ssl_channel_credentials(content(chain))
    async with rpc(settings, credentials=trusting, **MemorySystem().ports()) as edge:
        assert await status(edge.stub.GetTocRoot(pb.GetTocRootRequest())) == "OK"
    async with rpc(settings, **MemorySystem().ports()) as edge:
        assert await status(edge.stub.GetTocRoot(pb.GetTocRootRequest(), timeout=60)) == "UNAVAILABLE"


async def test_with_an_authority_it_asks_for_a_certificate(certificate: tuple[str, str]) -> None:
    chain, key = certificate
    settings = Settings(grpc_tls_cert_file=chain, grpc_tls_key_file=key, grpc_tls_client_ca_file=chain)
    root = content(chain)
    for credentials, found in (
        (grpc.ssl_channel_credentials(root, content(key), root), "OK"),
        (grpc.ssl_channel_credentials(root), "UNAVAILABLE"),
    ):
        async with rpc(settings, credentials=credentials, **MemorySystem().ports()) as edge:
            assert await status(edge.stub.GetTocRoot(pb.GetTocRootRequest(), timeout=60)) == found


def test_a_certificate_that_cannot_be_used_is_named(certificate: tuple[str, str], tmp_path: Path) -> None:
    chain, key = certificate
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    with pytest.raises(SettingsError, match="GRPC_TLS_KEY_FILE"):
        load({"GRPC_TLS_CERT_FILE": chain})
    with pytest.raises(SettingsError, match="GRPC_TLS_CLIENT_CA_FILE needs"):
        load({"GRPC_TLS_CLIENT_CA_FILE": chain})
    with pytest.raises(SettingsError, match="GRPC_TLS_CERT_FILE and GRPC_TLS_KEY_FILE cannot be used"):
        credentials_of(Settings(grpc_tls_cert_file=str(nothing), grpc_tls_key_file=key))
    with pytest.raises(SettingsError, match=r"GRPC_TLS_KEY_FILE=.* cannot be read"):
        credentials_of(Settings(grpc_tls_cert_file=chain, grpc_tls_key_file=str(tmp_path / "absent")))
    with pytest.raises(SettingsError, match="GRPC_TLS_CLIENT_CA_FILE"):
        credentials_of(Settings(grpc_tls_cert_file=chain, grpc_tls_key_file=key, grpc_tls_client_ca_file=str(nothing)))


async def test_one_key_stands_for_one_request_of_one_method(system: MemorySystem) -> None:
    async with rpc(**system.ports()) as edge:
        key = (("idempotency-key", "k"),)
        await edge.stub.PauseJob(HOURLY, metadata=key)
        await edge.stub.ResumeJob(pb.ResumeJobRequest(job_name="hourly-rollup"), metadata=(("idempotency-key", "l"),))
    assert len(set(system.fingerprints)) == 2


async def test_a_command_that_may_still_take_effect_is_named(system: MemorySystem) -> None:
    system.fault = faults.Unavailable("no answer", command_id="c9")
    async with rpc(**system.ports()) as edge:
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await edge.stub.IngestEvent(pb.IngestEventRequest(event=SAID))
    assert ("x-command-id", "c9") in tuple(told.value.trailing_metadata())

"""compose.yaml says what it means to, to the real parser, and names nothing that does not exist."""

from typing import Any

import msgspec
import pytest

from agent_memory.embedded.processes import STOP_SECONDS
from agent_memory.embedded.services import EMBEDDINGS, SERVICES
from agent_memory.gateway.settings import check_open, load_auth, open_allowed
from agent_memory.runtime.settings import SettingsError, load
from agent_memory.runtime.settings.auth import AuthSettings, Switches
from support.composed import PASSWORDS, ROOT, ComposeError, composed, environment_of
from support.known_settings import SETTINGS

OURS = tuple(service.name for service in (*SERVICES, EMBEDDINGS))
PROFILES = ("mcp", "observability", "stub-model", "ops")
CLIENT = {"AGENT_MEMORY_URL", "AGENT_MEMORY_TOKEN"}


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    services: dict[str, Any] = composed(*PROFILES, **PASSWORDS)["services"]
    return services


def test_all_services_of_the_stack_are_there_and_built_from_the_one_dockerfile(everything: dict[str, Any]) -> None:
    built = {name: service["build"].get("args", {}).get("SERVICE") for name, service in everything.items() if "build" in service}
    assert {name: built[name] for name in OURS} == {name: name for name in OURS}
    assert {name for name in built if everything[name]["build"].get("target") == "ops"} == {"migrate", "ops"}


@pytest.mark.parametrize("missing", sorted(PASSWORDS))
def test_without_a_password_nothing_starts(missing: str) -> None:
    with pytest.raises(ComposeError, match=f"put {missing}=… into .env"):
        composed(**{name: value for name, value in PASSWORDS.items() if name != missing})


def test_a_plain_up_starts_the_services_and_nothing_of_the_profiles() -> None:
    assert set(composed(**PASSWORDS)["services"]) == {*OURS, "postgres", "redis", "migrate"}


def test_every_variable_of_our_services_is_a_real_setting(everything: dict[str, Any]) -> None:
    unknown = {name: set(everything[name]["environment"]) - SETTINGS for name in (*OURS, "migrate")}
    assert unknown == {name: set() for name in unknown}
    assert set(everything["ops"]["environment"]) - SETTINGS == CLIENT
    assert set(everything["mcp"]["environment"]) - SETTINGS == {"AGENT_MEMORY_URL"}


@pytest.mark.parametrize("service", OURS)
def test_what_a_service_is_given_are_settings_it_can_start_with(service: str, everything: dict[str, Any]) -> None:
    given = environment_of(everything[service])
    load({**given, "HOST": "0.0.0.0"})
    if service != "embeddings":
        assert given["DATABASE_URL"] == "postgresql://agent_memory@postgres:5432/agent_memory"
        assert (given["PGPASSWORD"], given["REDIS_URL"]) == ("p-ostgres", "redis://:redis1@redis:6379/0")


def gateway(**variables: str) -> dict[str, str]:
    return environment_of(composed(**PASSWORDS, **variables)["services"]["gateway"])


def test_on_this_machine_alone_the_gateway_may_be_open() -> None:
    given = {**gateway(), "HOST": "0.0.0.0", "GRPC_HOST": "0.0.0.0"}
    assert load_auth(given).auth_mode == "disabled"
    check_open(load(given), allowed=open_allowed(given))
    assert load_auth(gateway(AUTH_MODE="token")).auth_mode == "token"


def test_published_to_others_the_gateway_does_not_start_without_authentication() -> None:
    with pytest.raises(SettingsError, match="AUTH_MODE"):
        load_auth(gateway(PUBLISH_ADDRESS="0.0.0.0"))
    assert load_auth(gateway(PUBLISH_ADDRESS="0.0.0.0", AUTH_MODE="token")).auth_mode == "token"


def test_both_gateways_ask_for_the_same_credentials(everything: dict[str, Any]) -> None:
    about = {field.encode_name.upper() for kind in (AuthSettings, Switches) for field in msgspec.structs.fields(kind)}
    shared = [{name: everything[one]["environment"].get(name) for name in about} for one in ("gateway", "mcp")]
    assert shared[0] == shared[1]
    opened = environment_of(composed("mcp", **PASSWORDS, PUBLISH_ADDRESS="0.0.0.0")["services"]["mcp"])
    with pytest.raises(SettingsError, match="AUTH_MODE"):
        load_auth(opened)


def test_ports_are_published_on_loopback_unless_an_address_is_named(everything: dict[str, Any]) -> None:
    published = {
        (name, port["host_ip"], port["target"]) for name, service in everything.items() for port in service.get("ports", ())
    }
    assert {address for _, address, _ in published} == {"127.0.0.1"}
    assert {(name, port) for name, _, port in published if name in (*OURS, "postgres", "redis")} >= {
        ("gateway", 8000),
        ("gateway", 50051),
    }
    assert not {name for name, _, _ in published} & {"postgres", "redis"}
    opened = composed(**PASSWORDS, PUBLISH_ADDRESS="0.0.0.0", AUTH_MODE="token", GATEWAY_PORTS="8000-8003")["services"]["gateway"]
    assert {(port["host_ip"], port["published"]) for port in opened["ports"]} == {("0.0.0.0", "8000-8003"), ("0.0.0.0", "50051")}


def test_nothing_starts_before_what_it_needs(everything: dict[str, Any]) -> None:
    waits = {
        name: {on: how["condition"] for on, how in (each.get("depends_on") or {}).items()} for name, each in everything.items()
    }
    servers = {"redis": "service_healthy", "migrate": "service_completed_successfully"}
    assert waits["migrate"] == {"postgres": "service_healthy"}
    for name in set(OURS) - {"embeddings"}:
        assert waits[name].items() >= servers.items(), name
    assert waits["gateway"]["ingest"] == waits["gateway"]["embeddings"] == waits["indexer"]["embeddings"] == "service_healthy"
    assert {"test", "interval"} <= set(everything["postgres"]["healthcheck"]) & set(everything["redis"]["healthcheck"])


def test_every_service_gets_the_time_to_stop_that_it_takes(everything: dict[str, Any]) -> None:
    graces = {name: float(everything[name]["stop_grace_period"].removesuffix("s")) for name in (*OURS, "mcp")}
    assert {name for name, grace in graces.items() if grace < STOP_SECONDS} == set()


def test_every_container_is_hardened_and_every_image_pinned_to_a_version(everything: dict[str, Any]) -> None:
    for name, service in everything.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        tag = service["image"].rpartition(":")[2]
        assert tag[:1].isdigit() or tag[:2].strip("v")[:1].isdigit(), f"{name}: {service['image']}"
        assert "container_name" not in service, f"{name} could not be scaled"


def test_only_who_must_reach_the_internet_can(everything: dict[str, Any]) -> None:
    parsed = composed(*PROFILES, **PASSWORDS)
    assert parsed["networks"]["inside"]["internal"] is True
    outside = {name for name, service in everything.items() if "outside" in service["networks"]}
    assert outside == {"gateway", "mcp", "indexer", "summarizer", "compactor", "prometheus", "grafana"}


def test_keys_of_providers_reach_those_who_ask_models_only(everything: dict[str, Any]) -> None:
    holders = {name for name in OURS if "OPENAI_API_KEY" in everything[name]["environment"]}
    assert holders == {"gateway", "indexer", "summarizer", "compactor", "rollup"}


def test_the_stub_model_is_asked_with_its_profile() -> None:
    parsed = composed("stub-model", files=("deploy/compose/stub-model.env",), **PASSWORDS)["services"]
    given = environment_of(parsed["summarizer"])
    assert (given["OPENAI_API_BASE"], given["OPENAI_API_KEY"]) == ("http://stub-model:8080/v1", "stub")
    assert {volume["source"] for volume in parsed["stub-model"]["volumes"]} == {str(ROOT / "tests/support/stub_model.py")}


def test_files_that_are_mounted_exist(everything: dict[str, Any]) -> None:
    mounted = [volume["source"] for each in everything.values() for volume in each.get("volumes", ()) if volume["type"] == "bind"]
    assert mounted
    assert [source for source in mounted if not (ROOT / source).exists()] == []


def test_redis_has_the_limit_that_it_is_given_and_its_exporter_tells_that_of_the_machine(everything: dict[str, Any]) -> None:
    given = composed(**PASSWORDS, REDIS_MAXMEMORY="4gb")["services"]["redis"]["command"]
    for command, most in ((everything["redis"]["command"], "0"), (given, "4gb")):
        assert command[command.index("--maxmemory") + 1] == most
    assert everything["redis-exporter"]["environment"]["REDIS_EXPORTER_INCL_SYSTEM_METRICS"] == "true"

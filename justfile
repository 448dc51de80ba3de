# Run them through ./run, which makes the environment first: ./run demo

set positional-arguments := true

# How people who came through ./run can type what the program advises
export AGENT_MEMORY_PROGRAM := "./run cli"

# List the recipes
[private]
default:
    @just --list --unsorted

# Start everything, import a sample history, search it, stop again (--keep leaves it up)
[group('use')]
[no-exit-message]
[no-cd]
demo *arguments:
    @agent-memory demo "$@"

# Start the whole stack on this machine (--detach returns when it is ready)
[group('use')]
[no-exit-message]
up *arguments:
    @agent-memory up "$@"

# Stop what `up` started
[group('use')]
[no-exit-message]
down:
    @agent-memory down

# Show each process: port, memory, restarts, ready or not (--json for programs)
[group('use')]
[no-exit-message]
status *arguments:
    @agent-memory status "$@"

# Any command of agent-memory: ./run cli import history.jsonl
[group('use')]
[no-exit-message]
[no-cd]
cli *arguments:
    @agent-memory "$@"

# Run the tests against real servers, all of them in two processes; arguments go to pytest
[group('check')]
[no-exit-message]
test *arguments:
    python -m pytest $([ $# -gt 0 ] || echo --numprocesses=2 --dist=loadfile) "$@"

# Style: lint rules, format
[group('check')]
[no-exit-message]
lint:
    ruff check .
    ruff format --check .

# Types, strictly
[group('check')]
[no-exit-message]
types:
    mypy $(ls -d libs/*/src/agent_memory/*/ services/*/src/agent_memory/*/ cli/src/agent_memory/*/ migrations/src/agent_memory/*/ | sed 's|/$||; s|.*/|-p agent_memory.|')

# Measure throughput and latency; prints tables and writes JSON (--quick, --list, --only NAME…, --markdown FILE)
[group('measure')]
[no-exit-message]
bench *arguments:
    PYTHONPATH=tests python -m bench "$@"

# Measure how much of the evidence for questions a search of the timeline brings up; needs conversations (--data FOLDER)
[group('measure')]
[no-exit-message]
bench-recall *arguments:
    PYTHONPATH=tests python -m recall "$@"

# Measure what the table of contents quotes and says, and what walking it brings up; needs conversations (--data FOLDER)
[group('measure')]
[no-exit-message]
bench-timeline *arguments:
    PYTHONPATH=tests python -m walks "$@"

# Kill random processes under load, then account for every acknowledged write
[group('measure')]
[no-exit-message]
chaos *arguments:
    PYTHONPATH=tests python -m chaos "$@"

# Scale ingest and indexer 1 → 2 → 4 → 2 → 1 under load, down by kill -9; a table of each step, then the account (--waiting, --seed, --seconds)
[group('measure')]
[no-exit-message]
scale-out *arguments:
    PYTHONPATH=tests python -m scaling "$@"

# Format the code
[group('change')]
fmt:
    ruff format .
    ruff check --fix .

# Write from the code what follows from it: docs/settings.md, docs/cli.md, and what Kubernetes is told
[group('change')]
docs: manifests
    python docs/make_settings.py
    python docs/make_cli.py

# Write the chart's schema, the README of its values and the plain manifests from the chart
[group('change')]
manifests:
    python deploy/k8s/make.py

# Generate the stubs of the gRPC contract from memory.proto
[group('change')]
proto:
    python -m grpc_tools.protoc -I libs/contracts/src --python_out=libs/contracts/src --pyi_out=libs/contracts/src \
        --grpc_python_out=libs/contracts/src libs/contracts/src/agent_memory/contracts/proto/memory.proto

# Pin the dependencies again, with hashes; `--upgrade` takes newer ones
[group('change')]
lock *arguments:
    uv pip compile --quiet pyproject.toml --group dev --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links "$@" --output-file requirements.lock
    sed -i.old -e '/^-e /d' -e '/^ *#/d' requirements.lock && rm requirements.lock.old
    python deploy/image/needs.py

#!/bin/sh
# Within a build: `install.sh pins SERVICE` installs what is pinned for a service, `install.sh members SERVICE` our own packages.
set -eu

target=/opt/agent-memory
case $1 in
    pins)
        [ -n "$2" ] || { echo "say which service the image is for: --build-arg SERVICE=gateway" >&2; exit 1; }
        uv venv --quiet --python "$(command -v python3.11)" "$target"
        python deploy/image/pins.py "$2" requirements.lock >pins.txt
        uv pip install --quiet --no-cache --python "$target/bin/python" --require-hashes --no-deps --only-binary :all: \
            --compile-bytecode -r pins.txt
        ;;
    members)
        # shellcheck disable=SC2046 # one word for each package
        uv pip install --quiet --no-cache --offline --python "$target/bin/python" --no-deps --compile-bytecode \
            $(python deploy/image/pins.py "$2" --members)
        ;;
esac

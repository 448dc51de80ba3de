# syntax=docker/dockerfile:1
# One image per service:   docker build --build-arg SERVICE=gateway -t agent-memory-gateway .
# The command lines:       docker build --target ops -t agent-memory-ops .
# SERVICE: gateway, ingest, indexer, summarizer, rollup, compactor, scheduler, mcp or embeddings.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
# The digest of that image, sha256:…, pins it to the byte. It has no default: set it where images are built for others,
# to what `docker buildx imagetools inspect` tells of PYTHON_IMAGE on that day.
ARG PYTHON_DIGEST=

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS python

# What installs. Nothing of it reaches a final image.
FROM python AS installer
WORKDIR /build
COPY deploy/image/uv.txt deploy/image/uv.txt
RUN python -m pip install --no-cache-dir --no-deps --require-hashes -r deploy/image/uv.txt
COPY deploy/image/install.sh deploy/image/pins.py deploy/image/
COPY deploy/image/packages deploy/image/packages
COPY requirements.lock ./

FROM installer AS service-installed
ARG SERVICE
RUN deploy/image/install.sh pins "${SERVICE}"
COPY libs libs
COPY migrations migrations
COPY services services
RUN deploy/image/install.sh members "${SERVICE}"

FROM installer AS ops-installed
RUN deploy/image/install.sh pins ops
COPY libs libs
COPY migrations migrations
COPY services services
COPY cli cli
RUN deploy/image/install.sh members ops

# What every final image has: the interpreter without its installer, and a user who owns nothing.
FROM python AS running
RUN python -m pip uninstall --yes --quiet --root-user-action ignore setuptools wheel pip \
    && rm -rf /usr/local/lib/python3.11/ensurepip \
    && groupadd --gid 10001 agent-memory \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin agent-memory
COPY deploy/image/start.py deploy/image/healthy.py /opt/container/
ENV PATH=/opt/agent-memory/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OPENBLAS_NUM_THREADS=1 \
    OMP_NUM_THREADS=1
WORKDIR /tmp
USER 10001:10001
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Agent Memory" \
      org.opencontainers.image.description="Durable memory for AI agents" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM running AS ops
COPY --from=ops-installed /opt/agent-memory /opt/agent-memory
ENTRYPOINT ["agent-memory"]
CMD ["--help"]

FROM running AS service
ARG SERVICE
COPY --from=service-installed /opt/agent-memory /opt/agent-memory
# It listens on every address of its container; without authentication the gateway refuses that, unless ALLOW_OPEN says otherwise.
ENV AGENT_MEMORY_SERVICE=${SERVICE} \
    HOST=0.0.0.0 \
    GRPC_HOST=0.0.0.0 \
    MCP_HOST=0.0.0.0 \
    METRICS_PORT=9100
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 \
    CMD ["python", "-I", "-S", "/opt/container/healthy.py"]
ENTRYPOINT ["python", "/opt/container/start.py"]

# kecs-state with the k3d and docker command lines; docs/container.md says how it is run and what was tried.
# Every version is an argument or in a lock file. BASE is a Debian 13 with Python 3.11 or newer.
ARG BASE=docker.io/library/python:3.13.9-slim-trixie

FROM ${BASE} AS wheel
WORKDIR /source
COPY requirements-build.lock ./
RUN python3 -m venv /build \
    && /build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md ./
COPY migrations migrations
COPY app app
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel .

FROM ${BASE} AS installed
COPY requirements-service.lock /
RUN python3 -m venv /opt/kecs-state \
    && /opt/kecs-state/bin/pip install --no-cache-dir --require-hashes -r /requirements-service.lock
COPY --from=wheel /wheel /wheel
# pip has done its work then, and nothing in the image should install more.
RUN /opt/kecs-state/bin/pip install --no-cache-dir --no-index --no-deps /wheel/*.whl \
    && /opt/kecs-state/bin/pip uninstall --yes pip

FROM ${BASE} AS k3d
# The sums are those of the release's own checksums.txt; K3D_URL may name a mirror.
ARG K3D_URL=https://github.com/k3d-io/k3d/releases/download/v5.8.3
ARG K3D_SHA256_AMD64=dbaa79a76ace7f4ca230a1ff41dc7d8a5036a8ad0309e9c54f9bf3836dbe853e
ARG K3D_SHA256_ARM64=0b8110f2229631af7402fb828259330985918b08fefd38b7f1b788a1c8687216
RUN set -eu; \
    architecture="$(dpkg --print-architecture)"; \
    case "$architecture" in \
        amd64) sum="$K3D_SHA256_AMD64" ;; \
        arm64) sum="$K3D_SHA256_ARM64" ;; \
        *) echo "no k3d is pinned for $architecture" >&2; exit 1 ;; \
    esac; \
    python3 -c 'import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], "/k3d")' "$K3D_URL/k3d-linux-$architecture"; \
    echo "$sum  /k3d" | sha256sum --check --strict; \
    chmod 0755 /k3d

FROM ${BASE}
LABEL org.opencontainers.image.title="kecs-state" \
      org.opencontainers.image.description="Stops and starts local ECS environments (KECS instances) without losing their state"
# Docker's client comes signed from the distribution; a daemon of version 29 refuses clients older than 25.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends "docker-cli=26.1.*" \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 kecs
COPY --from=k3d /k3d /usr/local/bin/k3d
COPY --from=installed /opt/kecs-state /opt/kecs-state
ENV PATH=/opt/kecs-state/bin:$PATH
# Whoever owns ~/.kecs must run it, so docker-compose.yml names another user where that is not 1000.
USER 1000:1000
WORKDIR /home/kecs
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 CMD ["kecs-state", "ready"]
ENTRYPOINT ["kecs-state"]
CMD ["serve"]

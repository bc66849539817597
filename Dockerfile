# The image of one distribution: relay, operator or sim (the stand-ins, for sandboxes and tests). Built from the repository's root:
#   docker build --build-arg DISTRIBUTION=relay --build-arg VERSION="$(make -s version)" -t voiceassist-relay .
# Two optional build secrets let pip reach a package index other than its default one; neither ends up in the image:
#   --secret id=pip_conf,src=$HOME/.config/pip/pip.conf --secret id=ca_certificates,src=/etc/ssl/certs/ca-certificates.crt
# Any base with Python 3.11 or newer and its venv module will do. The digest is that of the index for all machines.
ARG BASE_IMAGE=python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
ARG DISTRIBUTION=relay

# Two environments: the one with pip and the build backend stays behind, the other one has neither and is all that the image gets.
# Bytecode is compiled here, as nothing can be written where the image runs; it is never checked against its source, which cannot
# change either.
FROM ${BASE_IMAGE} AS dependencies
ARG DISTRIBUTION
WORKDIR /build
ENV PIP_CONFIG_FILE=/run/secrets/pip_conf PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv tools && python3 -m venv --without-pip /opt/voiceassist
COPY requirements/${DISTRIBUTION}.lock ./
RUN --mount=type=secret,id=pip_conf --mount=type=secret,id=ca_certificates \
    tools/bin/pip --python /opt/voiceassist/bin/python install -q --no-compile --require-hashes --only-binary :all: \
        -r ${DISTRIBUTION}.lock && \
    /opt/voiceassist/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/voiceassist/lib

FROM dependencies AS own
ARG DISTRIBUTION
COPY tools/lock_subset.py requirements/dev.lock ./
RUN --mount=type=secret,id=pip_conf --mount=type=secret,id=ca_certificates \
    python3 lock_subset.py dev.lock hatchling hatch-vcs >backend.lock && \
    tools/bin/pip install -q --require-hashes --only-binary :all: -r backend.lock
COPY crds crds
COPY ${DISTRIBUTION} ${DISTRIBUTION}
# The version comes from the tags, which are not in the build's context.
ARG VERSION=0.0.0
RUN own="./${DISTRIBUTION}"; grep -q '"voiceassist-crds"' "$own/pyproject.toml" && own="$own ./crds"; \
    SETUPTOOLS_SCM_PRETEND_VERSION=${VERSION} tools/bin/pip wheel -q --no-deps --no-index --no-build-isolation -w wheels $own && \
    tools/bin/pip --python /opt/voiceassist/bin/python install -q --no-compile --no-deps --no-index --prefix /own wheels/*.whl && \
    /opt/voiceassist/bin/python -m compileall -q --invalidation-mode unchecked-hash /own/lib && \
    ln -s "voiceassist-${DISTRIBUTION}" /own/bin/voiceassist

# What else a distribution's image holds: the stand-ins have the sample calls.
FROM own AS extras-relay
FROM own AS extras-operator
FROM own AS extras-sim
COPY examples/calls /own/examples/calls
FROM extras-${DISTRIBUTION} AS extras

# Our own code is a layer of its own: a new version of it is a small one to send and to load.
FROM ${BASE_IMAGE}
ARG DISTRIBUTION
ARG VERSION=0.0.0
LABEL org.opencontainers.image.title="voiceassist-${DISTRIBUTION}" org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/voiceassist/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8080 9090
ENTRYPOINT ["voiceassist"]
COPY --from=dependencies /opt/voiceassist /opt/voiceassist
COPY --from=extras /own /opt/voiceassist

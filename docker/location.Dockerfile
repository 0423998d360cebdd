# A code location: its code server and its runs. Context: the repository; LOCATION: the project's folder in it.
ARG PYTHON_VERSION=3.13
ARG PYTHON_IMAGE=python:${PYTHON_VERSION}-slim

FROM ${PYTHON_IMAGE} AS base
# The public Python images come without byte code, which a read-only root can never make up for.
RUN python -c "import compileall, re, sysconfig; compileall.compile_dir(sysconfig.get_path('stdlib'), quiet=2, workers=0, rx=re.compile('/(test|tests|idlelib|lib2to3|site-packages|dist-packages)/'))" \
 && useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin slipway \
 && install -d -o 10001 -g 10001 /var/lib/slipway/duckdb \
 && chown 10001:10001 /tmp && chmod 1777 /tmp
ENV PATH=/opt/venv/bin:$PATH VIRTUAL_ENV=/opt/venv \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DAGSTER_HOME=/opt/slipway

FROM ${PYTHON_IMAGE} AS uv
COPY locks/uv.txt /
RUN --mount=type=cache,target=/root/.cache \
    python -m venv /opt/uv && /opt/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r /uv.txt

FROM uv AS wheel
WORKDIR /build
COPY pyproject.toml README.md ./
COPY src ./src
RUN --mount=type=cache,target=/root/.cache chmod -R a+rX . && /opt/uv/bin/uv build --quiet --wheel --out-dir /wheel

FROM base
ARG LOCATION
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1
COPY ${LOCATION}/requirements.txt /opt/slipway/requirements.txt
RUN --mount=type=cache,target=/root/.cache --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    /opt/uv/bin/uv venv --quiet /opt/venv && /opt/uv/bin/uv pip sync --quiet --require-hashes /opt/slipway/requirements.txt
RUN --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    /opt/uv/bin/uv pip install --quiet --no-cache --no-deps /wheel/*.whl
COPY --chmod=644 dagster.yaml /opt/slipway/
# Editable, so that files beside the package are where they are on a laptop.
COPY ${LOCATION} /opt/location
RUN --mount=type=cache,target=/root/.cache --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    chmod -R a+rX /opt/location && /opt/uv/bin/uv pip install --quiet --no-deps --editable /opt/location \
 && python -m compileall -q /opt/location
WORKDIR /opt/location
# Not before: what a build leaves in its home, a run would copy into its scratch.
ENV HOME=/tmp
USER 10001

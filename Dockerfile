# The service in an image: built in one stage, run in another that has neither pip's cache nor
# the sources. docs/containers.md says how to run it.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/duyet
COPY requirements.lock ./
RUN /opt/duyet/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r requirements.lock
COPY requirements-build.lock pyproject.toml setup.py README.md LICENSE ./
COPY duyet duyet
COPY model model
COPY service service
COPY training training
# The image has no compiler: one comes in a package, and goes again.
RUN /opt/duyet/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r requirements-build.lock \
    && /opt/duyet/bin/pip install --no-cache-dir --disable-pip-version-check \
        --no-deps --no-build-isolation . \
    && /opt/duyet/bin/pip uninstall --yes --quiet ziglang

FROM python:3.12-slim
# By number, so that an orchestrator can see that it is not root. A new volume takes over the
# directory's owner and mode.
RUN groupadd --system --gid 10001 duyet \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin duyet \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/duyet
COPY --from=build /opt/duyet /opt/duyet
# Inside a container only the published port leads here, so all of its addresses are listened on.
ENV PATH=/opt/duyet/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp \
    DUYET_HOST=0.0.0.0 \
    DUYET_PORT=8000 \
    DUYET_DATA_DIR=/var/lib/duyet
USER 10001:10001
WORKDIR /var/lib/duyet
VOLUME /var/lib/duyet
EXPOSE 8000
# The service is process 1 and takes the signal itself: it answers what it has begun, then ends.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['DUYET_PORT']), timeout=4); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["duyet", "serve"]

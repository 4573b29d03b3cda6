# The application. Targets: `dev`, whose sources are mounted, and `prod` (the default), which carries them.
# Everything in common is built once; an edited source reinstalls nothing.
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS dependencies
COPY src/requirements.txt /tmp/requirements.txt
# ca_bundle: the certificate authorities of a machine behind a proxy, when it has its own; a secret, so that it stays in no layer.
# Wheels only: the image has no compiler, and this way pip says so in a line. pip itself is taken out at the end.
RUN --mount=type=secret,id=ca_bundle --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/ca_bundle ]; then export PIP_CERT=/run/secrets/ca_bundle; fi \
    && python3 -m venv /venv \
    && /venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --requirement /tmp/requirements.txt \
    && /venv/bin/pip uninstall --quiet --yes pip setuptools

FROM ${PYTHON_IMAGE} AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /app --shell /usr/sbin/nologin app
COPY --from=dependencies /venv /venv
# No bytecode beside the sources: in dev they are mounted and belong to another user, in prod they are read-only.
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001
EXPOSE 8000

# The migration becomes the server (exec), so that the server is the container's first process and receives its signals.
FROM runtime AS dev
CMD ["python", "-m", "tasks.migrate", "--needs", "src.main", "--then", \
     "uvicorn", "src.main:app", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--log-config", "src/logging.json", \
     "--timeout-graceful-shutdown", "5", \
     "--reload", "--reload-dir", "src", "--reload-dir", "scripts", "--reload-dir", "tasks", "--reload-dir", "alembic"]

FROM runtime AS prod
COPY alembic.ini ./
COPY alembic alembic
COPY src src
COPY scripts scripts
COPY tasks tasks
# Readable by the user whatever the builder's umask was, writable by root alone.
USER root
RUN chmod -R u=rwX,go=rX /app && python -m compileall -q src scripts tasks
USER 10001
CMD ["python", "-m", "tasks.migrate", "--then", \
     "uvicorn", "src.main:app", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--log-config", "src/logging.json", \
     "--timeout-graceful-shutdown", "5"]

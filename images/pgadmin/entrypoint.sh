#!/bin/bash
# Starts pgAdmin with the contract of the official image's script: in a new volume it makes the one user that the variables name.
set -Eeuo pipefail

fail() {
  echo "entrypoint.sh: $*" >&2
  exit 1
}

packages=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

if [[ ! -s /var/lib/pgadmin/pgadmin4.db ]]; then
  password=${PGADMIN_DEFAULT_PASSWORD:-}
  if [[ -n ${PGADMIN_DEFAULT_PASSWORD_FILE:-} ]]; then password=$(< "$PGADMIN_DEFAULT_PASSWORD_FILE"); fi
  [[ -n ${PGADMIN_DEFAULT_EMAIL:-} && -n $password ]] \
    || fail "set PGADMIN_DEFAULT_EMAIL and PGADMIN_DEFAULT_PASSWORD or PGADMIN_DEFAULT_PASSWORD_FILE: they make the user of a new volume"
  # Put aside until it is whole: a container that is killed meanwhile starts over.
  (
    cd /var/lib/pgadmin
    rm -f new.db
    PGADMIN_SETUP_EMAIL=$PGADMIN_DEFAULT_EMAIL PGADMIN_SETUP_PASSWORD=$password PGADMIN_CONFIG_SQLITE_PATH="'/var/lib/pgadmin/new.db'" \
      python "$packages/pgadmin4/setup.py" setup-db
    servers=${PGADMIN_SERVER_JSON_FILE:-/pgadmin4/servers.json}
    if [[ -f $servers ]]; then
      PGADMIN_CONFIG_SQLITE_PATH="'/var/lib/pgadmin/new.db'" \
        python "$packages/pgadmin4/setup.py" load-servers "$servers" --user "$PGADMIN_DEFAULT_EMAIL"
    fi
    mv new.db pgadmin4.db
  )
fi
unset PGADMIN_DEFAULT_PASSWORD

# One process, for pgAdmin keeps open connections in memory.
exec gunicorn --workers=1 --threads="${GUNICORN_THREADS:-25}" --timeout=86400 --worker-tmp-dir=/dev/shm \
  --bind="${PGADMIN_LISTEN_ADDRESS:-0.0.0.0}:${PGADMIN_LISTEN_PORT:-80}" --error-logfile=- --access-logfile="${GUNICORN_ACCESS_LOGFILE:--}" \
  --chdir="$packages/pgadmin4" pgAdmin4:app

#!/bin/bash
# Starts PostgreSQL, and first makes the cluster when the volume is empty. The contract is that of the official image's script:
#   POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS   each also as NAME_FILE, the path of a file that holds the value
#   POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_WALDIR, PGDATA             as the official image documents them
#   /docker-entrypoint-initdb.d/*.{sh,sql,sql.gz}                         run once, in a new cluster, in the order of their names
#
# One thing is better here: a container that is killed while it makes the cluster starts over the next time, where the official image
# keeps the broken half for ever. The cluster grows in a sub-directory of the volume and moves up when it is whole, PG_VERSION last.
set -Eeuo pipefail

readonly SOCKETS=/var/run/postgresql
export PGDATA=${PGDATA:-/var/lib/postgresql/data}

fail() {
  echo "docker-entrypoint.sh: $*" >&2
  exit 1
}

# file_env NAME [DEFAULT]: NAME from itself, else from the file that NAME_FILE names, else the default.
file_env() {
  local name=$1 file_name=${1}_FILE
  if [[ -n ${!name:-} && -n ${!file_name:-} ]]; then fail "both $name and $file_name are set; keep one of them"; fi
  if [[ -n ${!file_name:-} ]]; then
    [[ -r ${!file_name} ]] || fail "$file_name names ${!file_name}, which can't be read"
    printf -v "$name" '%s' "$(<"${!file_name}")"
  fi
  if [[ -z ${!name:-} ]]; then printf -v "$name" '%s' "${2:-}"; fi
  export "${name?}"
  unset "$file_name"
}

# Run SQL from standard input or from the arguments of psql; scripts in initdb.d may call it too, as in the official image.
docker_process_sql() {
  PGHOST='' PGHOSTADDR='' psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --no-password --no-psqlrc --dbname="$POSTGRES_DB" "$@"
}

step_down_from_root() {
  mkdir -p "$PGDATA" "$SOCKETS" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}
  find "$PGDATA" "$SOCKETS" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \! -user postgres -exec chown postgres '{}' +
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
}

run_init_scripts() {
  local script
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh)
        echo "running $script"
        # shellcheck source=/dev/null
        if [[ -x $script ]]; then "$script"; else . "$script"; fi
        ;;
      *.sql) echo "running $script" && docker_process_sql --file="$script" ;;
      *.sql.gz) echo "running $script" && gunzip --stdout "$script" | docker_process_sql ;;
      */\*) ;; # the directory is empty
      *) echo "ignoring $script: neither .sh, .sql nor .sql.gz" ;;
    esac
  done
}

# fill_cluster [OPTION...]: everything that a new cluster gets, in $PGDATA; the options are those of the server to come.
fill_cluster() {
  eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\$POSTGRES_PASSWORD\") --auth-local=trust --auth-host=trust \
    ${POSTGRES_INITDB_WALDIR:+--waldir=\"\$POSTGRES_INITDB_WALDIR\"} ${POSTGRES_INITDB_ARGS:-}"
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"

  # No TCP yet: who asks over the network sees a server only when everything is there.
  pg_ctl --wait --options="$(printf '%q ' "$@" -c listen_addresses='' -c unix_socket_directories="$SOCKETS,/tmp")" start
  if [[ $POSTGRES_DB != postgres ]]; then
    docker_process_sql --dbname=postgres --quiet --set=name="$POSTGRES_DB" <<< 'CREATE DATABASE :"name";'
  fi
  run_init_scripts
  pg_ctl --wait --mode=fast stop
}

create_cluster() {
  local volume=$PGDATA growing=$PGDATA/.initialising
  if [[ -z $POSTGRES_PASSWORD && ${POSTGRES_HOST_AUTH_METHOD:-} != trust ]]; then
    fail "the volume is empty and there is no password for the new cluster: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE"
  fi
  mkdir -p "$volume"
  chmod 0700 "$volume" || fail "$volume must belong to the user that PostgreSQL runs as, uid $EUID; it belongs to uid $(stat --format=%u "$volume")"
  if [[ -d $growing ]]; then
    echo "docker-entrypoint.sh: an earlier start was interrupted while it made the cluster; starting over"
    find "$volume" -mindepth 1 -delete # all of it is ours: the directory was empty when .initialising was made
  elif [[ -n $(ls -A "$volume") ]]; then
    fail "$volume has files but no PG_VERSION: it isn't a PostgreSQL cluster. Use another volume, or empty this one if nothing in it is needed"
  fi

  mkdir -m 0700 "$growing"
  PGDATA=$growing fill_cluster "$@"
  find "$growing" -mindepth 1 -maxdepth 1 \! -name PG_VERSION -exec mv -t "$volume" '{}' +
  mv "$growing/PG_VERSION" "$volume"
  echo "PostgreSQL init process complete; ready for start up."
}

main() {
  if [[ ${1:-} == -* ]]; then set -- postgres "$@"; fi
  if [[ ${1:-} != postgres || " $* " =~ \ (--help|-\?|--version|-V|--describe-config|-C)\  ]]; then exec "$@"; fi
  if ((EUID == 0)); then step_down_from_root "$@"; fi
  shift

  if [[ -s $PGDATA/PG_VERSION ]]; then
    rmdir "$PGDATA/.initialising" 2> /dev/null || true # left when the last start was killed right after the cluster was whole
  else
    file_env POSTGRES_PASSWORD
    file_env POSTGRES_USER postgres
    file_env POSTGRES_DB "$POSTGRES_USER"
    file_env POSTGRES_INITDB_ARGS
    create_cluster "$@"
    rmdir "$PGDATA/.initialising"
  fi
  unset POSTGRES_PASSWORD # the server doesn't need it, and its environment can be read
  # Both directories: these programs look for the socket in /tmp, everything made for the official image in /var/run/postgresql.
  exec postgres -c unix_socket_directories="$SOCKETS,/tmp" "$@"
}

main "$@"

#!/bin/bash
# Entrypoint in front of a PostgreSQL image's own: makes the password of the settings the password of the role, then hands over.
#
# The official image reads its variables only while it makes a cluster. Afterwards a changed password would lock everybody out, and a changed
# user or database would be ignored without a word. So, when the volume already has a cluster, before the server opens:
#   - the role POSTGRES_USER gets the password of POSTGRES_PASSWORD(_FILE), in single-user mode: no moment in which the old one still works;
#   - user and database are renamed, where an operator agreed to it (`make rename`);
#   - passwords are asked for, also where another project's image was told to trust everybody;
#   - what can't be reconciled (no such role, no such database, another major version) stops the container with one message.
# And where there is none, it sees that there isn't one elsewhere in the volume, beside which the image would make an empty one.
# It relies only on the official image's contract: PGDATA, POSTGRES_* and NAME_FILE, `postgres` on PATH, docker-entrypoint.sh.
# It needs bash, the user that owns the cluster (uid 999 in Debian's images) and no capability.
#
# The password goes to the server through a pipe: never into an argument, a log or a message.
set -Eeuo pipefail

readonly DATA=${PGDATA:-/var/lib/postgresql/data}
readonly NAMES=$DATA/stack.names # the user and the database of the settings, as they were last
readonly AGREED=$DATA/stack.rename
readonly HERE="SERVICE=$(hostname) (with STACK=... where it isn't dev)"
readonly LOOK=(
  "SELECT rolname AS role_found FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'"
  "SELECT datname AS database_found FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate"
)

fail() {
  printf 'reconcile-credentials: %s\n' "$@" >&2
  exit 1
}

# setting NAME DEFAULT: the value of NAME, else the content of the file that NAME_FILE names, else the default.
setting() {
  local file_name=${1}_FILE
  if [[ -n ${!1:-} ]]; then
    printf '%s' "${!1}"
  elif [[ -n ${!file_name:-} ]]; then
    cat "${!file_name}" || return 1
  else
    printf '%s' "$2"
  fi
}

check_version() {
  local have image
  have=$(< "$DATA/PG_VERSION")
  image=$(postgres --version) # "postgres (PostgreSQL) 16.4 (Debian 16.4-1.pgdg120+1)"
  image=${image#*) }
  image=${image%%[.a-z ]*}
  [[ $have == "$image" ]] || fail \
    "the volume holds a PostgreSQL $have cluster and the image is PostgreSQL $image, which can't read it." \
    "Go back to an image of PostgreSQL $have; from there to a newer one: make upgrade-postgres IMAGE=... $HERE."
  [[ -s $DATA/global/pg_control ]] || fail \
    "the volume's cluster is incomplete (no global/pg_control): most likely, making it was interrupted." \
    "If this volume was never in use, remove it and start again; if it was, restore a backup into a new one."
}

# names COLUMN < output of single-user mode: the values of that column, comma-separated.
names() {
  sed -n "s/^.* $1 = \"\(.*\)\"\t(typeid.*/\1/p" "$output" | paste -sd, | sed 's/,/, /g'
}

# Becomes a single-user server that runs the statements of standard input; what it says goes to $output.
# To be the end of a pipeline, and so a child of this shell, never inside $(...): a killed container leaves a lock that names process 1, and
# PostgreSQL forgives such a lock only when it names its parent or PG_GRANDPARENT_PID. The given options are the server's own, since they
# may say where its configuration is; those after them keep the password out of logs and statistics, whatever the cluster is configured to log.
single_user() {
  export PG_GRANDPARENT_PID=1
  exec postgres --single -j -D "$DATA" "$@" \
    -c log_destination=stderr -c logging_collector=off -c log_min_messages=error -c log_checkpoints=off \
    -c log_statement=none -c log_duration=off -c log_min_duration_statement=-1 -c log_min_error_statement=panic \
    -c shared_preload_libraries= -c standard_conforming_strings=on \
    template1 > "$output" 2>&1
}

# run STATEMENT...: runs them as the cluster's owner, before anybody can connect; what came of it is in $output and $status.
# With -j a statement ends at a semicolon and an empty line. Single-user mode exits with 0 even when one fails, hence the search for ERROR.
run() {
  status=0
  printf '%s;\n\n' "$@" | single_user "${server_options[@]}" || status=$?
  if ((status == 0)) && grep -qE '(ERROR|FATAL|PANIC):' "$output"; then status=1; fi
}

fail_as_told() {
  local said
  said=$(grep -oE '(ERROR|FATAL|PANIC|HINT|DETAIL):.*' "$output" || tail -n 3 "$output")
  fail "PostgreSQL could not $1 before its start:" "${said//"$password"/[password]}"
}

# literal TEXT: as SQL has it.
literal() {
  printf "'%s'" "${1//\'/\'\'}"
}

# POSTGRES_HOST_AUTH_METHOD=trust, as in Evolution API's own compose file, is a line in the volume: whoever reaches the port gets in.
ask_for_passwords() {
  local rules=$DATA/pg_hba.conf
  grep -qx 'host all all all trust' "$rules" || return 0
  sed -i 's/^host all all all trust$/host all all all scram-sha-256/' "$rules"
  echo "reconcile-credentials: passwords are asked for now; the volume's pg_hba.conf trusted everybody"
}

# Renames user and database when an operator agreed to just these names (a file in the volume: old user, old database, new user, new database).
# One statement, and so all or nothing. Nobody can rename the user that he is, and that may be the cluster's owner (10): hence the helper.
rename_as_agreed() {
  local agreed=()
  mapfile -t agreed < "$AGREED"
  [[ ${#agreed[@]} == 4 && ${agreed[2]} == "$user" && ${agreed[3]} == "$database" ]] || return 0
  local old_user old_database new_user new_database
  old_user=$(literal "${agreed[0]}") old_database=$(literal "${agreed[1]}") new_user=$(literal "$user") new_database=$(literal "$database")
  run "DO \$rename\$ BEGIN \
    IF $old_user <> $new_user AND EXISTS (SELECT FROM pg_roles WHERE rolname = $old_user) THEN \
      CREATE ROLE reconcile_helper SUPERUSER; SET SESSION AUTHORIZATION reconcile_helper; \
      EXECUTE format('ALTER ROLE %I RENAME TO %I', $old_user, $new_user); \
      EXECUTE format('SET SESSION AUTHORIZATION %I', (SELECT rolname FROM pg_roles WHERE oid = 10)); DROP ROLE reconcile_helper; \
    END IF; \
    IF $old_database <> $new_database AND EXISTS (SELECT FROM pg_database WHERE datname = $old_database) THEN \
      EXECUTE format('ALTER DATABASE %I RENAME TO %I', $old_database, $new_database); \
    END IF; END \$rename\$"
  ((status == 0)) || fail_as_told "rename the user \"${agreed[0]}\" and the database \"${agreed[1]}\""
  echo "reconcile-credentials: the data of user \"${agreed[0]}\", database \"${agreed[1]}\" is now that of user \"$user\", database \"$database\""
}

# Refuses names under which the data would not be found: others than last time, while those of last time still exist.
check_names() {
  local had=()
  mapfile -t had < "$NAMES"
  [[ ${#had[@]} == 2 && "${had[*]}" != "$user $database" ]] || return 0
  run "${LOOK[@]}"
  if [[ ${had[0]} != "$user" && ", $(names role_found), " == *", ${had[0]}, "* ]] \
    || [[ ${had[1]} != "$database" && ", $(names database_found), " == *", ${had[1]}, "* ]]; then
    fail "the settings name the user \"$user\" and the database \"$database\", but the volume's data is that of the user \"${had[0]}\" in the database \"${had[1]}\"." \
      "Nothing was changed. Set the names back; or keep the data under the new ones: make rename $HERE."
  fi
}

reconcile() {
  check_version
  [[ ! -s $AGREED ]] || rename_as_agreed
  [[ ! -s $NAMES ]] || check_names
  run "${LOOK[@]}" \
    "SELECT rolname AS role_wanted FROM pg_catalog.pg_roles WHERE rolname = $(literal "$user")" \
    "SELECT datname AS database_wanted FROM pg_catalog.pg_database WHERE datname = $(literal "$database")" \
    "ALTER ROLE \"${user//\"/\"\"}\" WITH LOGIN PASSWORD $(literal "$password")"

  if ((status == 0)) || [[ -n $(names role_found) ]]; then
    [[ $(names role_wanted) == "$user" ]] || fail \
      "POSTGRES_USER is \"$user\", but the volume's cluster has no such role; it has: $(names role_found)." \
      "The variable counts only while a volume is new. Set it to the one that is there; from there to another name: make rename $HERE."
    [[ $(names database_wanted) == "$database" ]] || fail \
      "POSTGRES_DB is \"$database\", but the volume's cluster has no such database; it has: $(names database_found)." \
      "The variable counts only while a volume is new. Set it to the one that is there; from there to another name: make rename $HERE."
  fi
  ((status == 0)) || fail_as_told "set the password of \"$user\""
  ask_for_passwords
  printf '%s\n' "$user" "$database" > "$NAMES.new"
  mv "$NAMES.new" "$NAMES"
  rm -f "$AGREED"
  echo "reconcile-credentials: the role \"$user\" has the password of the settings"
}

# The image is about to make a cluster: not beside one that it doesn't see.
check_nothing_is_there() {
  local found
  if [[ -d $DATA && ! (-r $DATA && -x $DATA) ]]; then
    fail "the volume's data belongs to uid $(stat -c %u "$DATA"), and this image's server runs as uid $EUID and can't read it." \
      "Most likely an Alpine image made it (uid 70). Dump it there and restore it here, for the two sort text differently; or give the files to uid $EUID (chown -R) and REINDEX afterwards."
  fi
  for found in /var/lib/postgresql/PG_VERSION /var/lib/postgresql/*/docker/PG_VERSION "$DATA"/*/docker/PG_VERSION; do
    [[ ! -s $found ]] || fail "the volume holds a cluster of PostgreSQL $(< "$found"), but not where an image of this name keeps it: ${found%/PG_VERSION}, not $DATA." \
      "Images of 18 and later have a folder for each version. Name the image by its version, as in postgres:18; or postgres:17 and lower for what lies in the volume itself."
  done
  for found in "$DATA"/*/PG_VERSION; do
    [[ ! -s $found ]] || fail "the volume holds a cluster of PostgreSQL $(< "$found"), but in its folder $(basename "${found%/PG_VERSION}"), as a PGDATA of its project had it." \
      "Move the files of that folder up to the volume's top, with nothing that uses them running, and start again."
  done
}

if [[ ${1:-} == postgres || ${1:-} == -* ]] && [[ ! -s $DATA/PG_VERSION ]]; then
  check_nothing_is_there
elif [[ ${1:-} == postgres || ${1:-} == -* ]]; then
  user=$(setting POSTGRES_USER postgres)
  database=$(setting POSTGRES_DB "$user")
  password=$(setting POSTGRES_PASSWORD '')
  [[ -n $password ]] || fail "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both empty: there is no password to set for the role \"$user\"."
  [[ $user$database$password != *$'\n'* ]] || fail "a line break in POSTGRES_USER, POSTGRES_DB or POSTGRES_PASSWORD can't be handled: take it out."
  server_options=("$@")
  if [[ $1 == postgres ]]; then server_options=("${@:2}"); fi
  output=$(mktemp)
  trap 'rm -f "$output"' EXIT
  reconcile
  rm -f "$output"
  trap - EXIT
fi
exec docker-entrypoint.sh "$@"

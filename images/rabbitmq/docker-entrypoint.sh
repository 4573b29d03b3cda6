#!/bin/bash
# Starts RabbitMQ with the contract of the official image's script: root gives the data to the user rabbitmq and becomes it;
# RABBITMQ_ERLANG_COOKIE makes the cookie; RABBITMQ_DEFAULT_USER, _PASS and _VHOST are read by the server itself, when its database is new.
# The configuration is /etc/rabbitmq/conf.d/*.conf, in the order of the names.
set -Eeuo pipefail

if [[ ${1:-} == rabbitmq* ]] && ((EUID == 0)); then
  if [[ $1 == rabbitmq-server ]]; then
    find /var/lib/rabbitmq \! -user rabbitmq -exec chown rabbitmq '{}' +
  fi
  exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
fi

# A dot in the hostname asks for Erlang's long node names.
if [[ $(hostname) != "$(hostname --short)" ]]; then
  export RABBITMQ_USE_LONGNAME=${RABBITMQ_USE_LONGNAME:-true}
fi

if [[ -n ${RABBITMQ_ERLANG_COOKIE:-} && ${1:-} == rabbitmq* ]]; then
  cookie=/var/lib/rabbitmq/.erlang.cookie
  if [[ ! -e $cookie ]]; then
    (umask 0177 && printf '%s\n' "$RABBITMQ_ERLANG_COOKIE" > "$cookie")
  elif [[ $(< "$cookie") != "$RABBITMQ_ERLANG_COOKIE" ]]; then
    echo "docker-entrypoint.sh: warning: RABBITMQ_ERLANG_COOKIE differs from $cookie, which stays as it is" >&2
  fi
fi

exec "$@"

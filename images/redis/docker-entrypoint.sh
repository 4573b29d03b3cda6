#!/bin/bash
# Starts Redis with the contract of the official image's script: options or a configuration file alone mean redis-server; root gives the
# data to the user redis and becomes it; what the server writes is for its own user only.
set -Eeuo pipefail

if [[ ${1:-} == -* || ${1:-} == *.conf ]]; then
  set -- redis-server "$@"
fi

if [[ ${1:-} == redis-server ]] && ((EUID == 0)); then
  find . \! -user redis -exec chown redis '{}' +
  exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi

if [[ $(umask) == 0022 ]]; then
  umask 0077
fi
exec "$@"

#!/bin/bash
# Starts MinIO with the contract of the official image's script: arguments are those of `minio`, and with MINIO_USERNAME and MINIO_GROUPNAME
# (and optionally MINIO_UID and MINIO_GID) root becomes that user first.
set -Eeuo pipefail

if [[ ${1:-} != minio ]]; then
  set -- minio "$@"
fi

if [[ -n ${MINIO_USERNAME:-} && -n ${MINIO_GROUPNAME:-} ]]; then
  getent group "$MINIO_GROUPNAME" > /dev/null || groupadd ${MINIO_GID:+--gid="$MINIO_GID"} "$MINIO_GROUPNAME"
  getent passwd "$MINIO_USERNAME" > /dev/null || useradd ${MINIO_UID:+--uid="$MINIO_UID"} --gid="$MINIO_GROUPNAME" "$MINIO_USERNAME"
  exec setpriv --reuid="$MINIO_USERNAME" --regid="$MINIO_GROUPNAME" --init-groups "$@"
fi
exec "$@"

#!/bin/sh
# Entrypoint in front of a Redis image's own: a volume that another project kept without a log becomes one with a log.
#
# With a log, Redis reads nothing else: it would begin empty beside a full dump.rdb, and overwrite that later. So where there is a dump and no
# log of either form (a folder since Redis 7, a file before), the dump becomes what the log begins with. The dump itself stays.
# Killed at any point, it begins anew; it relies only on the image's contract: a POSIX shell, and docker-entrypoint.sh on PATH.
set -eu
cd /data
log=appendonlydir

if [ -s dump.rdb ] && [ ! -e "$log" ] && [ ! -e appendonly.aof ]; then
  rm -rf "$log.new"
  mkdir -m 0700 "$log.new"
  base=appendonly.aof.1.base.rdb
  ln dump.rdb "$log.new/$base" 2> /dev/null || cp dump.rdb "$log.new/$base" # Redis replaces files, and writes into none that is whole
  echo "file $base seq 1 type b" > "$log.new/appendonly.aof.manifest"
  mv "$log.new" "$log"
  echo "adopt: the log begins with dump.rdb, of $(date -r dump.rdb '+%Y-%m-%d %H:%M:%S')"
fi

exec docker-entrypoint.sh "$@"

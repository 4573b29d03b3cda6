#!/bin/bash
# Entrypoint in front of a RabbitMQ image's own: data that another project kept under another hostname goes on under that name.
#
# RabbitMQ keeps everything under its node's name, rabbit@HOSTNAME, and would begin empty beside data of another one; a Compose project that
# gives no hostname has the container's id there, and may have given another name in front. A node can't be renamed with its queues, so it
# keeps the name it had: the name in the container only; on the network the service is called as ever. Of several, the one that was used
# last is meant.
#
# It relies only on the official image's contract: bash, /etc/rabbitmq where the user may write, docker-entrypoint.sh on PATH. The tools in
# the container (the probe, rabbitmqctl) find the node by the same two files, the second through ERL_INETRC, which the container has.
set -Eeuo pipefail

readonly DATA=/var/lib/rabbitmq/mnesia
readonly OWN=rabbit@$(hostname)
readonly NODE_FILE=/etc/rabbitmq/rabbitmq-env.conf

# The node whose data was used last; nothing when there is none.
last_node() {
  local each newest=
  for each in "$DATA"/*@*/; do
    [[ $each == *-plugins-expand/ || ! -d $each ]] || [[ -n $newest && $each -ot $newest ]] || newest=$each
  done
  basename "$newest"
}

# What an earlier start of this container wrote goes: a restore empties the volume beneath it.
if [[ -s $ERL_INETRC ]]; then : > "$NODE_FILE"; fi
: > "$ERL_INETRC"
if [[ ! -d $DATA && -n $(compgen -G "${DATA%/*}/*@*/") ]]; then
  echo "adopt: the volume's data is at its top, as where it was mounted at $DATA: move all of it into a folder \"mnesia\" of the volume." >&2
  exit 1
fi
if [[ ! -d $DATA/$OWN ]]; then
  node=$(last_node)
  if [[ -n $node ]]; then
    host=${node##*@}
    printf 'NODENAME=%s\n' "$node" > "$NODE_FILE"
    if [[ $host == *.* ]]; then echo USE_LONGNAME=true >> "$NODE_FILE"; fi
    printf '{host, {127, 0, 0, 1}, ["%s"]}.\n{lookup, [file, native]}.\n' "$host" > "$ERL_INETRC"
    echo "adopt: going on as $node, whose data is in the volume"
  fi
fi

exec docker-entrypoint.sh "$@"

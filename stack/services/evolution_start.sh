# Read by the bash that starts Evolution API, before anything else (BASH_ENV): sees to it that it is connected to RabbitMQ.
#
# Evolution API connects once, at its start; without a connection it drops events without a word. So it starts when RabbitMQ takes
# connections: after a reboot the engine starts both at the same moment, and RabbitMQ takes longer. The wait has an end, for without
# RabbitMQ messages can still be sent. And when it has no connection, for a minute in which RabbitMQ takes some, it is ended: the engine
# starts it again. All this uses what the image has: bash, and busybox's programs.
unset BASH_ENV # the shells that this one starts have nothing to do with it

# Only the container's first process: not the shell of a probe, or of a person.
if [ $$ -eq 1 ] && [[ ${RABBITMQ_URI:-} =~ @([^@:/]+):([0-9]+) ]]; then
    rabbitmq_host=${BASH_REMATCH[1]} rabbitmq_port=${BASH_REMATCH[2]}

    rabbitmq_answers() {
        timeout 3 bash -c "exec 3<>/dev/tcp/$rabbitmq_host/$rabbitmq_port" 2>/dev/null
    }

    # Whether the kernel knows a connection of the container to RabbitMQ (01: established), or a socket of its own that listens (0A).
    is_connected() {
        grep -qs "$(printf ':%04X 01 ' "$rabbitmq_port")" /proc/net/tcp /proc/net/tcp6
    }
    is_serving() {
        grep -qs "$(printf ':%04X [0-9A-F]*:0000 0A ' "$SERVER_PORT")" /proc/net/tcp /proc/net/tcp6
    }

    # One that doesn't serve yet may be in the middle of a migration. And one that never had a connection, for RabbitMQ went away while it
    # started, or refuses it, is given twice as long each time, up to an hour: to one that is refused a restart is no help.
    patience_of_the_refused=/tmp/seconds-without-rabbitmq
    keep_connected() {
        local seconds=0 limit
        limit=$(cat "$patience_of_the_refused" 2>/dev/null || echo 60)
        while sleep 5; do
            if is_connected; then
                seconds=0 limit=60
                rm -f "$patience_of_the_refused"
            elif is_serving && rabbitmq_answers; then
                seconds=$((seconds + 5))
            fi
            if [ "$seconds" -ge "$limit" ]; then
                echo "No connection to RabbitMQ, which answers, for $limit s: Evolution API ends, to be started again and connect"
                echo $((limit < 1800 ? limit * 2 : 3600)) >"$patience_of_the_refused"
                kill -TERM 1  # the simulator, which ends by itself
                kill -TERM -1 # all but the first process, which ends with its child in the real image
                seconds=0
            fi
        done
    }

    trap 'exit 143' TERM INT # a first process is immune to what it does not handle
    waited=no
    until rabbitmq_answers; do
        if [ "$SECONDS" -ge 120 ]; then
            echo "RabbitMQ does not answer: starting without it. Events are dropped until it does, and for a minute more"
            break
        fi
        [ "$waited" = yes ] || echo "Waiting for RabbitMQ ($rabbitmq_host:$rabbitmq_port)"
        waited=yes
        sleep 1
    done
    keep_connected &
    trap - TERM INT
fi

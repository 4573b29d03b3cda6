# Read by the bash that starts Evolution API, before anything else (BASH_ENV): waits until RabbitMQ takes connections.
#
# Evolution API connects to RabbitMQ once, at its start. After a reboot the engine starts both at the same moment, and RabbitMQ takes longer.
# The wait has an end, for without RabbitMQ messages can still be sent. It uses what the image has: bash, and busybox's sleep and timeout.
unset BASH_ENV # the shells that this one starts have nothing to wait for

# Only the container's first process: not the shell of a probe, or of a person.
if [ $$ -eq 1 ] && [[ ${RABBITMQ_URI:-} =~ @([^@:/]+):([0-9]+) ]]; then
    trap 'exit 143' TERM INT # a first process is immune to what it does not handle
    until timeout 3 bash -c "exec 3<>/dev/tcp/${BASH_REMATCH[1]}/${BASH_REMATCH[2]}" 2>/dev/null; do
        if [ "$SECONDS" -ge 120 ]; then
            echo "RabbitMQ does not answer: starting without it. Events are dropped until Evolution API is restarted"
            break
        fi
        [ -n "${waiting:-}" ] || echo "Waiting for RabbitMQ (${BASH_REMATCH[1]}:${BASH_REMATCH[2]})"
        waiting=yes
        sleep 1
    done
    trap - TERM INT
    unset waiting
fi

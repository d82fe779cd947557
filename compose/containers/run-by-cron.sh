# What a producer's container does: run all jobs by cron, at SCHEDULE.
set -eu

# Cron's jobs run as another user and have no way to the container's log but this one. Opened for
# reading and writing, so that it never ends.
rm -f /run/nightdrop.log
mkfifo -m 0622 /run/nightdrop.log
cat <> /run/nightdrop.log &

cat > /etc/cron.d/nightdrop << END
NIGHTDROP_CONFIG=$NIGHTDROP_CONFIG
ACCESS_KEY=$ACCESS_KEY
$SCHEDULE nightdrop /usr/local/bin/nightdrop-producer run --all > /run/nightdrop.log 2>&1
END
exec cron -f

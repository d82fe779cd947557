#!/usr/bin/env bash
# Whether systemd takes the units, with a job and a copy for another producer, and whether they stay locked in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT

# The programs need not be installed here.
for unit in *.service *.timer; do
    sed 's|^ExecStart=/usr/local/bin/nightdrop-[a-z]* |ExecStart=/bin/true |' "$unit" > "$units/$unit"
done
for kind in service timer; do
    cp "$units/nightdrop-producer@.$kind" "$units/nightdrop-jfk@.$kind"
done
cd "$units"
# Of a key that it doesn't know it only speaks.
said=$(SYSTEMD_UNIT_PATH=$units: systemd-analyze verify --man=no nightdrop-consumer.service \
    nightdrop-producer@departures.{service,timer} nightdrop-jfk@departures.{service,timer} 2>&1) || true
if [ -n "$said" ]; then
    printf '%s\n' "$said" >&2
    exit 1
fi
# From 0, nothing is left open, to 100.
systemd-analyze --no-pager security --offline=true --threshold=15 ./nightdrop-consumer.service > /dev/null
systemd-analyze --no-pager security --offline=true --threshold=15 ./nightdrop-producer@.service > /dev/null

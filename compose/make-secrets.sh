#!/usr/bin/env bash
# Makes a random secret for each that compose.yaml names, in compose/secrets. Those that are there
# stay as they are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The folder is closed to others; the files are not, for users inside the containers read them.
mkdir -p -m 0700 secrets
sed -n 's|.*{file: ./secrets/\([a-z0-9_]*\)}.*|\1|p' compose.yaml | while read -r name; do
    [ -s "secrets/$name" ] && continue
    head -c 24 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' > "secrets/$name"
    chmod 0644 "secrets/$name"
done

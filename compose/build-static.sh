#!/usr/bin/env bash
# Builds both programs as static binaries that need nothing of the system they run on, into the folder $1, by cargo's
# profile $2 (release). With the C library that all measurements were made with; of Debian it needs libc6-dev 2.34 or
# newer, whose names are found in /etc/hosts and by DNS without a further library.
set -euo pipefail
to=$(realpath -m "$1")
profile=${2:-release}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mkdir -p "$to"
for program in nightdrop-producer nightdrop-consumer; do
    # The flag is for the last link alone.
    built=$(cargo rustc --locked --profile "$profile" --package $program --bin $program \
        --message-format json-render-diagnostics -- -C target-feature=+crt-static | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
    install "$built" "$to/$program"
    if readelf --program-headers "$to/$program" | grep -q INTERP; then
        echo "$to/$program is not static" >&2
        exit 1
    fi
done

#!/usr/bin/env bash
# Makes a bucket on MinIO, and users who can do what they must and nothing else. Running it again
# changes nothing.
#
#   ENDPOINT   http://minio:9000
#   BUCKET     the bucket
#   ROOT       the server's owner
#   READER     the consumer's user; may be empty
#   PRODUCERS  the producers' users, each named like its producer; may be empty
#   PREFIX     put before users' names where several buckets share a server; empty unless set
#   SECRETS    folder of files <user>_s3, each with that user's secret key
#   MC         MinIO's client, `mc` unless set
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prefix=${PREFIX:-}
quietly() { "${MC:-mc}" --quiet --no-color "$@" > /dev/null; }

# Secrets go through stdin: a command line is everyone's to read.
user() { # name, policy
    local name=$prefix$1 policy=$2
    printf '%s\n' "$name" "$(< "$SECRETS/${name}_s3")" | quietly admin user add drop
    quietly admin policy create drop "$name" /dev/stdin <<< "$policy"
    quietly admin policy attach drop "$name" --user "$name"
}

printf '%s\n' "$ROOT" "$(< "$SECRETS/${ROOT}_s3")" | quietly alias set drop "$ENDPOINT"
quietly mb --ignore-existing "drop/$BUCKET"

if [ -n "${READER:-}" ]; then
    policy=$(< "$here/policies/reader.json")
    user "$READER" "${policy//BUCKET/"$BUCKET"}"
fi
for producer in ${PRODUCERS:-}; do
    policy=$(< "$here/policies/producer.json")
    policy=${policy//BUCKET/"$BUCKET"}
    user "$producer" "${policy//PRODUCER/"$producer"}"
done

#!/usr/bin/env bash
# Makes a bucket on MinIO, and users who can do what they must and nothing else. Running it again
# changes nothing.
#
#   ENDPOINT   http://minio:9000
#   BUCKET     the bucket
#   ROOT       the server's owner
#   USERS      the consumer's user and the producers'
#   PREFIX     put before users' names where several buckets share a server; empty unless set
#   POLICIES   folder of files <user>.json, each what that user's program printed as its `policy`
#   SECRETS    folder of files <user>_s3, each with that user's secret key
#   ROOT_SECRET  the file with the owner's, $SECRETS/<ROOT>_s3 unless set
#   MC         MinIO's client, `mc` unless set
set -euo pipefail

prefix=${PREFIX:-}
quietly() { "${MC:-mc}" --quiet --no-color "$@" > /dev/null; }

# Secrets go through stdin: a command line is everyone's to read.
printf '%s\n' "$ROOT" "$(< "${ROOT_SECRET:-$SECRETS/${ROOT}_s3}")" | quietly alias set drop "$ENDPOINT"
quietly mb --ignore-existing "drop/$BUCKET"

for user in $USERS; do
    name=$prefix$user
    printf '%s\n' "$name" "$(< "$SECRETS/${name}_s3")" | quietly admin user add drop
    quietly admin policy create drop "$name" "$POLICIES/$user.json"
    quietly admin policy attach drop "$name" --user "$name"
done

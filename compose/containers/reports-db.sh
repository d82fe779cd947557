#!/usr/bin/env bash
# The first start of the reports' database: it belongs to a plain role.
set -euo pipefail

psql --username=postgres --set=ON_ERROR_STOP=1 --quiet << 'END'
\set password `cat /run/secrets/reports_db`
CREATE ROLE nightdrop_consumer LOGIN PASSWORD :'password';
CREATE DATABASE reports OWNER nightdrop_consumer;
END

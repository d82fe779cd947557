#!/usr/bin/env bash
# The first start of JFK's database: tables, rows, and a role that may only read.
set -euo pipefail

psql --username=postgres --dbname=ops --set=ON_ERROR_STOP=1 --quiet << 'END'
\i /examples/demo/sources/postgres.sql
\copy flights FROM '/examples/data/flights.csv' WITH (FORMAT csv, HEADER) WHERE origin = 'JFK'
\copy weather FROM '/examples/data/weather.csv' WITH (FORMAT csv, HEADER) WHERE origin = 'JFK'
\copy airlines FROM '/examples/data/airlines.csv' WITH (FORMAT csv, HEADER)

\set password `cat /run/secrets/jfk_db`
CREATE ROLE report LOGIN PASSWORD :'password';
GRANT SELECT ON ALL TABLES IN SCHEMA public TO report;
END

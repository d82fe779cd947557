#!/usr/bin/env bash
# The first start of EWR's database: tables, rows, and a user who may only read.
set -euo pipefail

MYSQL_PWD=$(< /run/secrets/ewr_owner) mariadb --user=root --local-infile=1 ops << END
SET time_zone = '+00:00';
source /examples/demo/sources/mariadb.sql

LOAD DATA LOCAL INFILE '/examples/data/flights.csv' INTO TABLE flights FIELDS TERMINATED BY ',' IGNORE 1 LINES
    (year, month, day, @dep_time, sched_dep_time, @dep_delay, @arr_time, sched_arr_time, @arr_delay, carrier, flight,
     @tailnum, origin, dest, @air_time, distance, hour, minute, @time_hour)
    SET dep_time = NULLIF(@dep_time, ''), dep_delay = NULLIF(@dep_delay, ''), arr_time = NULLIF(@arr_time, ''),
        arr_delay = NULLIF(@arr_delay, ''), tailnum = NULLIF(@tailnum, ''), air_time = NULLIF(@air_time, ''),
        time_hour = STR_TO_DATE(@time_hour, '%Y-%m-%dT%H:%i:%sZ');
DELETE FROM flights WHERE origin <> 'EWR';

LOAD DATA LOCAL INFILE '/examples/data/weather.csv' INTO TABLE weather FIELDS TERMINATED BY ',' IGNORE 1 LINES
    (origin, year, month, day, hour, @temp, @dewp, @humid, @wind_dir, @wind_speed, @wind_gust, @precip, @pressure,
     @visib, @time_hour)
    SET temp = NULLIF(@temp, ''), dewp = NULLIF(@dewp, ''), humid = NULLIF(@humid, ''),
        wind_dir = NULLIF(@wind_dir, ''), wind_speed = NULLIF(@wind_speed, ''), wind_gust = NULLIF(@wind_gust, ''),
        precip = NULLIF(@precip, ''), pressure = NULLIF(@pressure, ''), visib = NULLIF(@visib, ''),
        time_hour = STR_TO_DATE(@time_hour, '%Y-%m-%dT%H:%i:%sZ');
DELETE FROM weather WHERE origin <> 'EWR';

CREATE USER report IDENTIFIED BY '$(< /run/secrets/ewr_db)';
GRANT SELECT ON ops.* TO report;
END

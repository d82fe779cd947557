# Makes LGA's database, the file $1, where it is not there yet.
set -eu
[ -e "$1" ] && exit
rm -f "$1.new"

sqlite3 -bail "$1.new" << 'END'
.read /examples/demo/sources/sqlite.sql
.mode csv
.import --skip 1 /examples/data/flights.csv flights
.import --skip 1 /examples/data/weather.csv weather
DELETE FROM flights WHERE origin <> 'LGA';
DELETE FROM weather WHERE origin <> 'LGA';
-- An empty field is NULL.
UPDATE flights
   SET dep_time = nullif(dep_time, ''), dep_delay = nullif(dep_delay, ''), arr_time = nullif(arr_time, ''),
       arr_delay = nullif(arr_delay, ''), tailnum = nullif(tailnum, ''), air_time = nullif(air_time, '');
UPDATE weather
   SET temp = nullif(temp, ''), dewp = nullif(dewp, ''), humid = nullif(humid, ''), wind_dir = nullif(wind_dir, ''),
       wind_speed = nullif(wind_speed, ''), wind_gust = nullif(wind_gust, ''), precip = nullif(precip, ''),
       pressure = nullif(pressure, ''), visib = nullif(visib, '');
END
mv "$1.new" "$1"

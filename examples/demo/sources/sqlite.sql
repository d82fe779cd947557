-- The tables as an airport on SQLite would have them. It has no type for an instant: time_hour is text, in UTC.
CREATE TABLE flights (
    year           INTEGER NOT NULL,
    month          INTEGER NOT NULL,
    day            INTEGER NOT NULL,
    dep_time       INTEGER,
    sched_dep_time INTEGER NOT NULL,
    dep_delay      INTEGER,
    arr_time       INTEGER,
    sched_arr_time INTEGER NOT NULL,
    arr_delay      INTEGER,
    carrier        TEXT    NOT NULL,
    flight         INTEGER NOT NULL,
    tailnum        TEXT,
    origin         TEXT    NOT NULL,
    dest           TEXT    NOT NULL,
    air_time       INTEGER,
    distance       INTEGER NOT NULL,
    hour           INTEGER NOT NULL,
    minute         INTEGER NOT NULL,
    time_hour      TEXT    NOT NULL
);

CREATE TABLE weather (
    origin         TEXT    NOT NULL,
    year           INTEGER NOT NULL,
    month          INTEGER NOT NULL,
    day            INTEGER NOT NULL,
    hour           INTEGER NOT NULL,
    temp           REAL,
    dewp           REAL,
    humid          REAL,
    wind_dir       REAL,
    wind_speed     REAL,
    wind_gust      REAL,
    precip         REAL,
    pressure       REAL,
    visib          REAL,
    time_hour      TEXT    NOT NULL
);

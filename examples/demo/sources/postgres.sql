-- The tables as an airport on PostgreSQL would have them.
CREATE TABLE flights (
    year           smallint         NOT NULL,
    month          smallint         NOT NULL,
    day            smallint         NOT NULL,
    dep_time       smallint,
    sched_dep_time smallint         NOT NULL,
    dep_delay      integer,
    arr_time       smallint,
    sched_arr_time smallint         NOT NULL,
    arr_delay      integer,
    carrier        text             NOT NULL,
    flight         integer          NOT NULL,
    tailnum        text,
    origin         text             NOT NULL,
    dest           text             NOT NULL,
    air_time       integer,
    distance       integer          NOT NULL,
    hour           smallint         NOT NULL,
    minute         smallint         NOT NULL,
    time_hour      timestamptz      NOT NULL
);

CREATE TABLE weather (
    origin         text             NOT NULL,
    year           smallint         NOT NULL,
    month          smallint         NOT NULL,
    day            smallint         NOT NULL,
    hour           smallint         NOT NULL,
    temp           double precision,
    dewp           double precision,
    humid          double precision,
    wind_dir       double precision,
    wind_speed     double precision,
    wind_gust      double precision,
    precip         double precision,
    pressure       double precision,
    visib          double precision,
    time_hour      timestamptz      NOT NULL
);

CREATE TABLE airlines (
    carrier        text PRIMARY KEY,
    name           text             NOT NULL
);

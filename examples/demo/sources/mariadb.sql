-- The tables as an airport on MariaDB would have them. A TIMESTAMP is an instant, kept in UTC.
CREATE TABLE flights (
    year           SMALLINT     NOT NULL,
    month          TINYINT      NOT NULL,
    day            TINYINT      NOT NULL,
    dep_time       SMALLINT,
    sched_dep_time SMALLINT     NOT NULL,
    dep_delay      INT,
    arr_time       SMALLINT,
    sched_arr_time SMALLINT     NOT NULL,
    arr_delay      INT,
    carrier        VARCHAR(2)   NOT NULL,
    flight         INT UNSIGNED NOT NULL,
    tailnum        VARCHAR(8),
    origin         CHAR(3)      NOT NULL,
    dest           CHAR(3)      NOT NULL,
    air_time       INT,
    distance       INT UNSIGNED NOT NULL,
    hour           TINYINT      NOT NULL,
    minute         TINYINT      NOT NULL,
    time_hour      TIMESTAMP    NOT NULL
);

CREATE TABLE weather (
    origin         CHAR(3)      NOT NULL,
    year           SMALLINT     NOT NULL,
    month          TINYINT      NOT NULL,
    day            TINYINT      NOT NULL,
    hour           TINYINT      NOT NULL,
    temp           DOUBLE,
    dewp           DOUBLE,
    humid          DOUBLE,
    wind_dir       DOUBLE,
    wind_speed     DOUBLE,
    wind_gust      DOUBLE,
    precip         DOUBLE,
    pressure       DOUBLE,
    visib          DOUBLE,
    time_hour      TIMESTAMP    NOT NULL
);

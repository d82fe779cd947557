SELECT carrier, flight, tailnum, origin, dest, time_hour,
       dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, arr_delay,
       air_time, distance
FROM flights

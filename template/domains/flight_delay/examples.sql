-- One row a decision: a flight, when the desk decides about it, and how it ended.
-- Columns that begin with later_ are known only afterwards; the contract refuses a feature that follows one.
SELECT
    row_number() OVER (ORDER BY sched_dep, carrier, flight, origin) AS flight_id,
    sched_dep                                                       AS scheduled_departure,
    sched_dep - INTERVAL 2 HOURS                                    AS decided_at,
    carrier,
    flight                                                          AS flight_number,
    origin,
    dest                                                            AS destination,
    distance,
    sched_arr_time                                                  AS arrival_clock,
    tailnum                                                         AS later_tail_number,
    dep_delay                                                       AS later_departure_delay,
    arr_delay                                                       AS later_arrival_delay,
    -- No arrival delay is recorded for a flight that was cancelled or diverted: it was late for everyone.
    CAST(coalesce(arr_delay >= 15, true) AS TINYINT)                AS late
FROM flights

-- What the desk knows two hours before a flight is to leave, one row a flight.
--
-- Whatever ends at decided_at holds only what had happened before that minute. Whether a flight came late is
-- certain 22 hours after it was due to leave, so the windows over outcomes end a day before the flight to decide on.
WITH

-- Flights that really left, at the minute they left.
departures AS (
    SELECT
        origin, carrier, destination,
        later_tail_number AS tail_number,
        scheduled_departure + to_minutes(later_departure_delay) AS left_at,
        -- Clipped: one flight that left a day late says little about the next.
        greatest(-15, least(180, later_departure_delay)) AS delay
    FROM examples
    WHERE later_departure_delay IS NOT NULL
),

-- Totals up to each departure, by airport, by airline at an airport, by destination, and for the whole city.
-- What happened between two moments is the total at the second less the total at the first; an ASOF join finds
-- both several times faster than a window that slides over all departures of an airport.
airport_so_far AS (
    SELECT
        origin, left_at,
        count(*) OVER so_far AS departures,
        sum(delay) OVER so_far AS delay,
        sum(CAST(delay >= 15 AS INT)) OVER so_far AS late
    FROM departures
    WINDOW so_far AS (PARTITION BY origin ORDER BY left_at)
),

carrier_so_far AS (
    SELECT origin, carrier, left_at, count(*) OVER so_far AS departures, sum(delay) OVER so_far AS delay
    FROM departures
    WINDOW so_far AS (PARTITION BY origin, carrier ORDER BY left_at)
),

destination_so_far AS (
    SELECT destination, left_at, count(*) OVER so_far AS departures, sum(delay) OVER so_far AS delay
    FROM departures
    WINDOW so_far AS (PARTITION BY destination ORDER BY left_at)
),

city_so_far AS (
    SELECT left_at, count(*) OVER so_far AS departures, sum(delay) OVER so_far AS delay
    FROM departures
    WINDOW so_far AS (ORDER BY left_at)
),

airport AS (
    SELECT
        flight_id,
        coalesce(now.departures, 0) - coalesce(before_3h.departures, 0) AS departures_3h,
        (now.delay - coalesce(before_3h.delay, 0)) / nullif(departures_3h, 0) AS delay_3h,
        (now.late - coalesce(before_1h.late, 0))
            / nullif(now.departures - coalesce(before_1h.departures, 0), 0) AS late_share_1h
    FROM examples
    ASOF LEFT JOIN airport_so_far AS now
        ON now.origin = examples.origin AND now.left_at < decided_at
    ASOF LEFT JOIN airport_so_far AS before_1h
        ON before_1h.origin = examples.origin AND before_1h.left_at < decided_at - INTERVAL 1 HOUR
    ASOF LEFT JOIN airport_so_far AS before_3h
        ON before_3h.origin = examples.origin AND before_3h.left_at < decided_at - INTERVAL 3 HOURS
),

carrier AS (
    SELECT
        flight_id,
        (now.delay - coalesce(before_3h.delay, 0))
            / nullif(now.departures - coalesce(before_3h.departures, 0), 0) AS delay_3h
    FROM examples
    ASOF LEFT JOIN carrier_so_far AS now
        ON now.origin = examples.origin AND now.carrier = examples.carrier AND now.left_at < decided_at
    ASOF LEFT JOIN carrier_so_far AS before_3h
        ON before_3h.origin = examples.origin AND before_3h.carrier = examples.carrier
        AND before_3h.left_at < decided_at - INTERVAL 3 HOURS
),

destination AS (
    SELECT
        flight_id,
        coalesce(now.departures, 0) - coalesce(before_6h.departures, 0) AS departures_6h,
        (now.delay - coalesce(before_6h.delay, 0)) / nullif(departures_6h, 0) AS delay_6h
    FROM examples
    ASOF LEFT JOIN destination_so_far AS now
        ON now.destination = examples.destination AND now.left_at < decided_at
    ASOF LEFT JOIN destination_so_far AS before_6h
        ON before_6h.destination = examples.destination AND before_6h.left_at < decided_at - INTERVAL 6 HOURS
),

city AS (
    SELECT
        flight_id,
        (now.delay - coalesce(before_2h.delay, 0))
            / nullif(now.departures - coalesce(before_2h.departures, 0), 0) AS delay_2h
    FROM examples
    ASOF LEFT JOIN city_so_far AS now ON now.left_at < decided_at
    ASOF LEFT JOIN city_so_far AS before_2h ON before_2h.left_at < decided_at - INTERVAL 2 HOURS
),

-- The plane assigned to a flight is on record only if the flight went, so it would give a cancellation away.
-- The plane that last flew the route is known.
last_plane AS (
    SELECT flight_id, year(decided_at) - planes.year AS age_years, planes.seats
    FROM examples
    ASOF LEFT JOIN (
        -- Two planes that left in the same minute: take one, always the same.
        SELECT carrier, origin, destination, left_at, max(tail_number) AS tail_number FROM departures GROUP BY ALL
    ) AS route
        ON route.carrier = examples.carrier AND route.origin = examples.origin
        AND route.destination = examples.destination AND route.left_at < decided_at
    LEFT JOIN planes ON planes.tailnum = route.tail_number
),

-- The timetable is known in advance, so these windows may reach past the decision.
timetable AS (
    SELECT
        flight_id,
        count(*) OVER (PARTITION BY origin ORDER BY scheduled_departure
            RANGE BETWEEN INTERVAL 30 MINUTES PRECEDING AND INTERVAL 30 MINUTES FOLLOWING) AS scheduled_departures,
        count(*) OVER (PARTITION BY origin ORDER BY scheduled_departure
            RANGE BETWEEN INTERVAL 300 MINUTES PRECEDING AND INTERVAL 121 MINUTES PRECEDING) AS due_3h,
        count(*) OVER (PARTITION BY destination ORDER BY scheduled_departure
            RANGE BETWEEN INTERVAL 480 MINUTES PRECEDING AND INTERVAL 121 MINUTES PRECEDING) AS destination_due_6h
    FROM examples
),

history AS (
    SELECT
        flight_id,
        avg(late) OVER (PARTITION BY carrier, flight_number ORDER BY scheduled_departure
            RANGE BETWEEN INTERVAL 28 DAYS PRECEDING AND INTERVAL 1 DAY PRECEDING) AS flight_late_share_28d,
        avg(late) OVER (PARTITION BY origin, destination ORDER BY scheduled_departure
            RANGE BETWEEN INTERVAL 3 DAYS PRECEDING AND INTERVAL 1 DAY PRECEDING) AS route_late_share_3d,
        avg(late) OVER (PARTITION BY origin, hour(scheduled_departure) ORDER BY scheduled_departure
            RANGE BETWEEN INTERVAL 14 DAYS PRECEDING AND INTERVAL 1 DAY PRECEDING) AS hour_late_share_14d,
        avg(late) OVER (PARTITION BY carrier ORDER BY scheduled_departure
            RANGE BETWEEN INTERVAL 3 DAYS PRECEDING AND INTERVAL 1 DAY PRECEDING) AS carrier_late_share_3d,
        avg(late) OVER (PARTITION BY destination ORDER BY scheduled_departure
            RANGE BETWEEN INTERVAL 36 HOURS PRECEDING AND INTERVAL 1 DAY PRECEDING) AS destination_late_share_12h
    FROM examples
),

-- The hour that is repeated when summer time ends has two reports: take the first.
hourly_weather AS (
    SELECT
        *,
        make_timestamp(year, month, day, hour, 0, 0) AS hour_begins,
        -- Over three reports; where one is missing, that is more than three hours.
        pressure - lag(pressure, 3) OVER (PARTITION BY origin ORDER BY time_hour) AS pressure_change
    FROM weather
    QUALIFY row_number() OVER (PARTITION BY origin, year, month, day, hour ORDER BY time_hour) = 1
)

SELECT
    examples.flight_id,
    examples.scheduled_departure,
    examples.decided_at,
    examples.origin,
    examples.destination,
    examples.carrier,
    60 * hour(examples.scheduled_departure) + minute(examples.scheduled_departure) AS departure_minute,
    isodow(examples.scheduled_departure) - 1 AS weekday,
    -- Clocks differ between the two airports, and an arrival after midnight counts from the next day.
    (60 * (arrival_clock // 100) + arrival_clock % 100 - departure_minute + 1440) % 1440 AS scheduled_minutes,
    examples.distance AS distance_miles,
    timetable.scheduled_departures,
    last_plane.age_years AS plane_age_years,
    last_plane.seats AS plane_seats,
    airport.delay_3h AS airport_delay_min,
    airport.departures_3h AS airport_departures,
    timetable.due_3h - airport.departures_3h AS airport_waiting,
    airport.late_share_1h AS airport_late_share,
    city.delay_2h AS city_delay_min,
    carrier.delay_3h AS carrier_delay_min,
    destination.delay_6h AS destination_delay_min,
    timetable.destination_due_6h - destination.departures_6h AS destination_waiting,
    history.flight_late_share_28d,
    history.route_late_share_3d,
    history.hour_late_share_14d,
    history.carrier_late_share_3d,
    history.destination_late_share_12h,
    hourly_weather.temp AS temperature_f,
    hourly_weather.dewp AS dew_point_f,
    hourly_weather.humid AS humidity_pct,
    hourly_weather.wind_dir AS wind_direction_deg,
    hourly_weather.wind_speed AS wind_speed_mph,
    hourly_weather.wind_gust AS wind_gust_mph,
    hourly_weather.precip AS precipitation_in,
    hourly_weather.pressure AS pressure_hpa,
    hourly_weather.pressure_change AS pressure_change_hpa,
    hourly_weather.visib AS visibility_miles,
    -- For slices of the report, not for the model: months of the test were never seen in training.
    hour(examples.scheduled_departure) AS departure_hour,
    month(examples.scheduled_departure) AS month,
    -- What the desk does today, without a model.
    departure_hour >= 18 OR coalesce(airport_delay_min > 20, false) AS rule,
    examples.late
FROM examples
JOIN airport USING (flight_id)
JOIN carrier USING (flight_id)
JOIN destination USING (flight_id)
JOIN city USING (flight_id)
JOIN last_plane USING (flight_id)
JOIN timetable USING (flight_id)
JOIN history USING (flight_id)
LEFT JOIN hourly_weather
    ON hourly_weather.origin = examples.origin
    -- A row holds what was reported until 51 minutes past its hour, so the hour that is still running is not known.
    AND hourly_weather.hour_begins = date_trunc('hour', examples.decided_at - INTERVAL 52 MINUTES)
ORDER BY examples.scheduled_departure, examples.flight_id

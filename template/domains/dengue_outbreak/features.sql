-- What a bureau knows on Monday morning about each township, one row a decision.
--
-- Cases count by the day of their notification, not of their onset: who fell ill last week and is not notified yet is
-- not known. The newest week in a row is the one before the decision, Monday to Sunday.
WITH

-- Every week on record. A week without a case has no row in the table, and must count as 0, not as missing.
weeks AS (
    SELECT unnest(generate_series(
        date_trunc('week', min(notified)), date_trunc('week', max(notified)), INTERVAL 7 DAYS
    )) AS week_start
    FROM cases
),

weekly AS (
    SELECT
        date_trunc('week', notified) AS week_start, county, township,
        sum(cases) FILTER (origin = 'local') AS local_cases,
        sum(cases) FILTER (origin = 'imported') AS imported_cases
    FROM cases
    GROUP BY ALL
),

township_weekly AS (
    SELECT county, township, week_start, coalesce(local_cases, 0) AS cases
    FROM weeks
    CROSS JOIN townships
    LEFT JOIN weekly USING (week_start, county, township)
),

township AS (
    SELECT
        *,
        lag(cases, 1, 0) OVER weekwise AS cases_before,
        sum(cases) OVER (weekwise ROWS 3 PRECEDING) AS cases_4w,
        sum(cases) OVER (weekwise ROWS 11 PRECEDING) AS cases_12w,
        sum(cases) OVER (weekwise ROWS 51 PRECEDING) AS cases_52w,
        max(CASE WHEN cases > 0 THEN week_start END) OVER weekwise AS last_case
    FROM township_weekly
    WINDOW weekwise AS (PARTITION BY county, township ORDER BY week_start)
),

-- How far apart two townships are. A degree is 101.7 km wide and 110.6 km high at 23° north.
apart AS (
    SELECT
        here.county, here.township, there.county AS near_county, there.township AS near_township,
        sqrt((101.7 * (here.longitude - there.longitude)) ** 2 + (110.6 * (here.latitude - there.latitude)) ** 2) AS km
    FROM townships AS here
    JOIN townships AS there ON (here.county, here.township) <> (there.county, there.township)
),

-- The five nearest, of whichever county.
nearest AS (
    SELECT *
    FROM apart
    QUALIFY row_number() OVER (PARTITION BY county, township ORDER BY km) <= 5
),

neighbours_weekly AS (
    SELECT nearest.county, nearest.township, week_start, sum(cases) AS cases, sum(cases_4w) AS cases_4w
    FROM nearest
    JOIN township ON township.county = near_county AND township.township = near_township
    GROUP BY ALL
),

neighbours AS (
    SELECT *, lag(cases_4w, 4, 0) OVER (PARTITION BY county, township ORDER BY week_start) AS cases_4w_before
    FROM neighbours_weekly
),

-- All cases around, each the less the further away: at 5 km a half, at 10 km a fifth.
around AS (
    SELECT
        apart.county, apart.township, week_start,
        -- Rounded, as the last digits depend on the order in which a sum is made.
        round(sum(cases / (1 + (km / 5) ** 2)), 2) AS cases,
        round(sum(cases_4w / (1 + (km / 5) ** 2)), 2) AS cases_4w
    FROM apart
    JOIN township ON township.county = near_county AND township.township = near_township
    WHERE cases_4w > 0
    GROUP BY ALL
),

-- All of a county, with the townships that nobody decides about.
county_weekly AS (
    SELECT
        county, week_start,
        coalesce(sum(local_cases), 0) AS cases,
        coalesce(sum(imported_cases), 0) AS imported
    FROM weeks
    CROSS JOIN (SELECT DISTINCT county FROM townships)
    LEFT JOIN weekly USING (week_start, county)
    GROUP BY ALL
),

county AS (
    SELECT
        *,
        sum(cases) OVER (weekwise ROWS 3 PRECEDING) AS cases_4w,
        sum(cases) OVER (weekwise ROWS 11 PRECEDING) AS cases_12w,
        sum(imported) OVER (weekwise ROWS 3 PRECEDING) AS imported_4w
    FROM county_weekly
    WINDOW weekwise AS (PARTITION BY county ORDER BY week_start)
),

island_weekly AS (
    SELECT week_start, coalesce(sum(local_cases), 0) AS cases
    FROM weeks
    LEFT JOIN weekly USING (week_start)
    GROUP BY ALL
),

island AS (
    SELECT week_start, sum(cases) OVER (ORDER BY week_start ROWS 3 PRECEDING) AS cases_4w
    FROM island_weekly
)

SELECT
    examples.decision_id,
    examples.week_start,
    examples.decided_at,
    examples.county,
    examples.township,
    weekofyear(examples.week_start) AS week_of_year,
    township.cases AS local_cases_week,
    township.cases_before AS local_cases_prev_week,
    township.cases_4w AS local_cases_4w,
    township.cases_12w AS local_cases_12w,
    township.cases_52w AS local_cases_52w,
    -- After five years it no longer matters how long ago it was, nor whether there ever was one.
    coalesce(least(date_diff('week', township.last_case, examples.week_start), 260), 260) AS weeks_since_local_case,
    neighbours.cases AS neighbour_cases_week,
    neighbours.cases_4w AS neighbour_cases_4w,
    neighbours.cases_4w_before AS neighbour_cases_prev_4w,
    coalesce(around.cases, 0) AS cases_around_week,
    coalesce(around.cases_4w, 0) AS cases_around_4w,
    county.cases AS county_cases_week,
    county.cases_4w AS county_cases_4w,
    county.cases_12w AS county_cases_12w,
    county.imported_4w AS county_imported_4w,
    island.cases_4w AS taiwan_cases_4w,
    -- For slices of the report, not for the model.
    quarter(examples.week_start) AS quarter,
    CAST(local_cases_4w = 0 AS INT) AS no_case_yet,
    -- What is done today, without a model.
    local_cases_4w > 0 AS rule,
    examples.outbreak
FROM examples
JOIN township USING (county, township, week_start)
JOIN neighbours USING (county, township, week_start)
LEFT JOIN around USING (county, township, week_start)
JOIN county USING (county, week_start)
JOIN island USING (week_start)
ORDER BY examples.week_start, examples.decision_id

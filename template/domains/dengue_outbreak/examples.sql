-- One row a decision: a township on a Monday, and how many local cases the next four weeks brought.
-- Columns that begin with later_ are known only afterwards; the contract refuses a feature that follows one.
WITH

-- Mondays after a whole week on record, from 2002 on: the years before are there to look back on.
mondays AS (
    SELECT unnest(generate_series(
        TIMESTAMP '2002-01-14', date_trunc('week', max(notified)) - INTERVAL 28 DAYS, INTERVAL 7 DAYS
    )) AS monday
    FROM cases
),

-- The units decide about crews only while there is dengue about: in the twelve weeks before, somewhere in the three
-- counties, somebody was infected. The rest of the year would be rows that any rule gets right.
in_season AS (
    SELECT DISTINCT monday
    FROM mondays
    JOIN cases ON notified >= monday - INTERVAL 84 DAYS AND notified < monday
    WHERE origin = 'local' AND county IN (SELECT county FROM townships)
),

-- What was notified from the Monday on, for four weeks.
following AS (
    SELECT county, township, monday, sum(cases) AS local_cases
    FROM mondays
    JOIN cases ON notified >= monday AND notified < monday + INTERVAL 28 DAYS
    WHERE origin = 'local'
    GROUP BY ALL
)

SELECT
    row_number() OVER (ORDER BY monday, county, township) AS decision_id,
    monday - INTERVAL 7 DAYS                              AS week_start,
    monday + INTERVAL 8 HOURS                             AS decided_at,
    county,
    township,
    coalesce(local_cases, 0)                              AS later_local_cases,
    CAST(later_local_cases >= 3 AS TINYINT)               AS outbreak
FROM in_season
CROSS JOIN townships
LEFT JOIN following USING (monday, county, township)

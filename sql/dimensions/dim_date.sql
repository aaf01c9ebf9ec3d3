-- One row per UTC day, from the first event to the latest.
--
-- load: replace
-- key: date
-- partition: date
--
-- @date: The day.
-- @year: Calendar year.
-- @month: Month, 1 to 12.
-- @day_of_month: Day of the month, 1 to 31.
-- @day_of_week: ISO day of the week: 1 is Monday, 7 is Sunday.
-- @iso_week: ISO week of the year.
-- @is_weekend: Whether it is a Saturday or a Sunday.
-- @is_over: Whether Questlake has received events on a later day, so that the day's figures are whole
--           but for late events.
WITH
-- First and latest day with events, and the day of the latest arrival.
bounds AS (
    SELECT
        min(cohort_date)                        AS first_date,
        max(last_active_date)                   AS last_date,
        CAST(max(last_received_at) AS DATE)     AS received_date
    FROM star.dim_player
),
-- Every day between.
days AS (
    SELECT
        unnest(generate_series(first_date, last_date, INTERVAL '1 day')) AS date,
        received_date
    FROM bounds
    WHERE first_date IS NOT NULL
)
SELECT
    date,
    CAST(date_part('year', date) AS BIGINT)             AS year,
    CAST(date_part('month', date) AS BIGINT)            AS month,
    CAST(date_part('day', date) AS BIGINT)              AS day_of_month,
    CAST(date_part('isodow', date) AS BIGINT)           AS day_of_week,
    CAST(date_part('week', date) AS BIGINT)             AS iso_week,
    date_part('isodow', date) >= 6                      AS is_weekend,
    date < received_date                                AS is_over
FROM days

-- The last day that is over has far fewer or far more events of a type than the same day of the week
-- before.
--
-- severity: warn
-- param largest_change: DOUBLE = 0.5   -- share of the week before's events
-- param fewest_events: BIGINT = 1000   -- types with fewer events the week before are left out
WITH
-- The last day that is over: there are later events, and not only from clocks that are ahead.
last_day AS (
    SELECT max(date) AS date
    FROM run.event_counts
    WHERE date < (SELECT least(max(date), CAST(max(now) AS DATE)) FROM run.event_counts CROSS JOIN run.clock)
),
-- Events by type on the same day of the week before.
week_before AS (
    SELECT event_type, events
    FROM run.event_counts
    WHERE date = (SELECT CAST(date - INTERVAL '7 days' AS DATE) FROM last_day)
      AND events >= $fewest_events
),
-- And on that day.
on_day AS (
    SELECT event_type, date, events
    FROM run.event_counts
    WHERE date = (SELECT date FROM last_day)
)
SELECT
    week_before.event_type,
    last_day.date,
    coalesce(on_day.events, 0)  AS events,
    week_before.events          AS events_week_before
FROM week_before
CROSS JOIN last_day
LEFT JOIN on_day ON on_day.event_type = week_before.event_type
WHERE abs(coalesce(on_day.events, 0) - week_before.events) > $largest_change * week_before.events
ORDER BY week_before.event_type

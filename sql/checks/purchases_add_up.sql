-- On a day, landing and archive hold another number of purchases than the star schema.
--
-- on: fact_purchase
WITH
-- What landed on the days that the run touches, as the ledger counts it.
landed AS (
    SELECT counts.date, sum(counts.events) AS events
    FROM run.event_counts AS counts
    JOIN run.changed_dates AS changed ON changed.date = counts.date
    WHERE counts.event_type = 'purchase'
    GROUP BY counts.date
),
-- What is about to be published for them, with what was there before.
loaded AS (
    SELECT date, count(*) AS rows
    FROM star.fact_purchase
    GROUP BY date
)
SELECT
    coalesce(landed.date, loaded.date)  AS date,
    coalesce(landed.events, 0)          AS landed_events,
    coalesce(loaded.rows, 0)            AS loaded_rows
FROM landed
FULL JOIN loaded ON loaded.date = landed.date
WHERE coalesce(landed.events, 0) <> coalesce(loaded.rows, 0)
ORDER BY 1

-- Scan of every event, with distinct counts: who was there on each day.
SELECT
    event_date,
    count(*)                   AS events,
    count(DISTINCT player_id)  AS players
FROM events.envelope
GROUP BY event_date
ORDER BY event_date

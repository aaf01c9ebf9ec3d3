-- One row per member of the club who has sent an event.
--
-- key: player_id
-- combine: first_seen_on = min, last_seen_on = max, events = sum
SELECT
    player_id,
    min(event_date) AS first_seen_on,
    max(event_date) AS last_seen_on,
    count(*)        AS events
FROM events.envelope
GROUP BY player_id

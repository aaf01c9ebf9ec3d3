-- Events and members of each day.
--
-- load: replace
-- partition: event_date
SELECT event_date, count(*) AS events, count(DISTINCT player_id) AS members
FROM events.envelope
GROUP BY event_date

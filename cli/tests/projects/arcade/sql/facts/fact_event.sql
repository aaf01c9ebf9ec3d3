-- What every player did, and when: sessions are numbered over all of it.
--
-- load: append
-- key: event_id
-- partition: event_date
SELECT event_id, event_date, event_time, player_id, event_type
FROM events.envelope

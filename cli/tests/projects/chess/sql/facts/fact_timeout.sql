-- One row per move that took too long. The events have no key of their own worth keeping.
--
-- load: append
SELECT event_date AS timed_out_on, game_id, side, move_number, seconds_over
FROM events.move_timed_out

-- A player's latest events in landing and archive, before an instant or behind one of its events.
--
-- param player: TEXT
-- param before: TIMESTAMP
-- param event: TEXT
-- param most: BIGINT
SELECT event_id, event_type, event_time, player_id, session_id, game, platform, country, app_version
FROM events.envelope
WHERE player_id = $player
  AND event_time <= $before
  AND (event_time < $before OR event_id < $event)
ORDER BY event_time DESC, event_id DESC
LIMIT $most

-- Selective look-up: every attempt of one player at a level.
SELECT event_time, level, attempt, result, score, duration_ms
FROM events.level_end
WHERE player_id = '{player}'
ORDER BY event_time, level, attempt

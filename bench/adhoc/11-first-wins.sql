-- Window function: on which attempt players first win a level, and how many get so far.
WITH
wins AS (
    SELECT
        level,
        attempt,
        row_number() OVER (PARTITION BY player_id, level ORDER BY event_time, event_id)  AS place
    FROM events.level_end
    WHERE result = 'win'
)
SELECT
    level,
    count(*)      AS players,
    avg(attempt)  AS attempts,
    max(attempt)  AS most_attempts
FROM wins
WHERE place = 1
GROUP BY level
ORDER BY level

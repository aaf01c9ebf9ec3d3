-- Window function: how much better or worse players do than in their attempt before, by level.
WITH
attempts AS (
    SELECT
        level,
        score,
        lag(score) OVER (PARTITION BY player_id, level ORDER BY event_time, event_id)
            AS score_before
    FROM events.level_end
)
SELECT
    level,
    count(*)                                                    AS repetitions,
    sum(CASE WHEN score > score_before THEN 1 ELSE 0 END)       AS better,
    avg(score - score_before)                                   AS gain
FROM attempts
WHERE score IS NOT NULL AND score_before IS NOT NULL
GROUP BY level
ORDER BY level

-- Join of two large event types: whether boosters help.
SELECT
    begun.difficulty,
    begun.boosters,
    count(*)                                               AS attempts,
    sum(CASE WHEN ended.result = 'win' THEN 1 ELSE 0 END)  AS wins,
    avg(ended.duration_ms)                                 AS duration_ms
FROM events.level_start AS begun
JOIN events.level_end AS ended ON ended.attempt_id = begun.attempt_id
WHERE begun.difficulty IS NOT NULL AND begun.boosters IS NOT NULL
GROUP BY begun.difficulty, begun.boosters
ORDER BY begun.difficulty, begun.boosters

-- Scan with aggregates: how hard each level is.
SELECT
    level,
    count(*)                                           AS attempts,
    sum(CASE WHEN result = 'win' THEN 1 ELSE 0 END)    AS wins,
    sum(CASE WHEN result = 'quit' THEN 1 ELSE 0 END)   AS quits,
    avg(duration_ms)                                   AS duration_ms,
    max(score)                                         AS best_score
FROM events.level_end
GROUP BY level
ORDER BY level

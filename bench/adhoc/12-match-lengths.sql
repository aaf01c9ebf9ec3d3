-- Percentiles: how long matches take.
SELECT
    mode,
    result,
    count(*)                                                   AS matches,
    median(duration_ms)                                        AS p50,
    percentile_cont(0.9) WITHIN GROUP (ORDER BY duration_ms)   AS p90,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_ms)  AS p99
FROM events.match_end
GROUP BY mode, result
ORDER BY mode, result

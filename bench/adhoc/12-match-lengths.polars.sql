-- Polars has another name for the percentile.
SELECT
    mode,
    result,
    count(*)                          AS matches,
    median(duration_ms)               AS p50,
    quantile_cont(duration_ms, 0.9)   AS p90,
    quantile_cont(duration_ms, 0.99)  AS p99
FROM events.match_end
GROUP BY mode, result
ORDER BY mode, result

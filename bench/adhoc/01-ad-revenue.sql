-- Scan with aggregates: what each network pays on each day, and how long its ads are watched.
SELECT
    event_date,
    network,
    count(*)         AS impressions,
    sum(revenue_usd) AS revenue_usd,
    avg(watched_ms)  AS watched_ms
FROM events.ad_impression
GROUP BY event_date, network
ORDER BY event_date, network

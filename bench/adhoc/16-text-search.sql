-- Text search in properties: errors that speak of time or memory, and rewards by their names.
SELECT
    'error'                    AS what,
    error_code                 AS detail,
    count(*)                   AS found,
    count(DISTINCT player_id)  AS players
FROM events.client_error
WHERE message LIKE '%within % ms%' OR message LIKE '%MiB%'
GROUP BY error_code
UNION ALL
SELECT 'reward' AS what, source AS detail, count(*) AS found, count(DISTINCT player_id) AS players
FROM events.currency_earned
WHERE source LIKE '%reward%'
GROUP BY source
ORDER BY what, detail

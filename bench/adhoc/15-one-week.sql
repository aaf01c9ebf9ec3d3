-- Pruned by date: one week of matches.
SELECT
    event_date,
    mode,
    count(*)                   AS matches,
    count(DISTINCT player_id)  AS players,
    avg(accuracy)              AS accuracy
FROM events.match_end
WHERE event_date BETWEEN DATE '2024-01-20' AND DATE '2024-01-26'
GROUP BY event_date, mode
ORDER BY event_date, mode

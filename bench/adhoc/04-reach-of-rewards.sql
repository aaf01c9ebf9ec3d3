-- Distinct counts: how many players and sessions each source of currency reaches.
SELECT
    currency,
    source,
    count(*)                    AS payments,
    count(DISTINCT player_id)   AS players,
    count(DISTINCT session_id)  AS sessions
FROM events.currency_earned
GROUP BY currency, source
ORDER BY currency, source

-- The club's week, from Monday to Sunday.
--
-- load: replace
-- key: week_start
-- partition: week_start
SELECT
    week_start,
    count(DISTINCT game_id)                 AS games,
    count(DISTINCT player_id)               AS members,
    sum(timeouts)                           AS timeouts,
    avg(moves)                              AS avg_moves,
    CAST(sum(prize_eur) AS DECIMAL(12, 2))  AS prizes_eur
FROM star.fact_seat
GROUP BY week_start

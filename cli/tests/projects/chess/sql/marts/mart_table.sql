-- The members by points, over all time.
--
-- key: player_id
SELECT
    seat.player_id,
    min(member.first_seen_on)   AS first_seen_on,
    count(*)                    AS games,
    sum(seat.score)             AS points
FROM star.fact_seat AS seat
LEFT JOIN star.dim_member AS member ON member.player_id = seat.player_id
WHERE seat.player_id IS NOT NULL
GROUP BY seat.player_id

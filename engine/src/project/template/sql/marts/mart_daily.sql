-- Finished levels per day.
--
-- partition: play_date
--
-- @players: Players who finished at least one level on the day. Not additive over days.
-- @perfect_rate: Share of the finished levels with three stars, 0 to 1.
SELECT
    play_date,
    count(DISTINCT player_id) AS players,
    count(*) AS levels_completed,
    avg(CASE WHEN stars = 3 THEN 1.0 ELSE 0.0 END) AS perfect_rate,
    avg(duration_seconds) AS avg_duration_seconds
FROM star.fact_level
GROUP BY play_date

-- How far each player went: a round, coins within a day, and a round with them; and who of the first
-- day came again.
--
-- key: player_id
WITH
players AS (
    SELECT
        player_id,
        window_funnel(INTERVAL '1 day', event_time,
            event_type = 'round_played',
            event_type = 'coins_bought',
            event_type = 'round_played') AS steps,
        retention(
            event_date = DATE '2026-03-02',
            event_date = DATE '2026-03-03',
            event_date = DATE '2026-03-09') AS came
    FROM star.fact_event
    GROUP BY player_id
)
SELECT
    player_id,
    steps,
    came[1] AS came_d0,
    came[2] AS came_d1,
    came[3] AS came_d7
FROM players

-- One row per player: how far into the 30 days after their first day they have come back.
-- It changes with a player's first month only, so that what is made of it does not become stale with
-- every event of an old player.
--
-- load: replace
-- key: player_id
--
-- @player_id: The player.
-- @cohort_date: UTC day of the player's first event.
-- @platform: Platform of the first event.
-- @country: Country of the first event.
-- @last_day_n: Days from cohort_date to the latest day with an event, at most 30.
SELECT
    player_id,
    cohort_date,
    first_platform                                                          AS platform,
    first_country                                                           AS country,
    least(CAST(last_active_date AS INT) - CAST(cohort_date AS INT), 30)     AS last_day_n
FROM star.dim_player

-- One row per milestone on a player's way: registration, steps of the tutorial, achievements.
--
-- load: append
-- key: event_id
-- partition: date
--
-- @event_id: The event.
-- @date: UTC day of the milestone.
-- @reached_at: Time of the milestone.
-- @player_id: The player.
-- @session_id: The session, if any.
-- @platform: Platform, 'unknown' if the event names none.
-- @country: Country, 'unknown' if the event names none.
-- @milestone: registered, tutorial_step or achievement.
-- @name: What the tutorial step teaches, or the achievement; NULL for a registration.
-- @number: Position in the tutorial, or points of the achievement; 0 for a registration.
-- @outcome: completed or skipped, for steps of the tutorial.
WITH
-- All kinds of milestones.
milestones AS (
    SELECT
        event_id, event_date, event_time, player_id, session_id, platform, country,
        'registered'        AS milestone,
        NULL                AS name,
        0                   AS number,
        NULL                AS outcome
    FROM events.player_registered
    UNION ALL
    SELECT
        event_id, event_date, event_time, player_id, session_id, platform, country,
        'tutorial_step'     AS milestone,
        step_name           AS name,
        step                AS number,
        outcome
    FROM events.tutorial_step
    UNION ALL
    SELECT
        event_id, event_date, event_time, player_id, session_id, platform, country,
        'achievement'       AS milestone,
        achievement_id      AS name,
        points              AS number,
        NULL                AS outcome
    FROM events.achievement_unlocked
)
SELECT
    event_id,
    event_date                      AS date,
    event_time                      AS reached_at,
    player_id,
    session_id,
    coalesce(platform, 'unknown')   AS platform,
    coalesce(country, 'unknown')    AS country,
    milestone,
    name,
    number,
    outcome
FROM milestones

-- How often the client fails: sessions and players without a crash, that is without a fatal error.
-- 'all' stands for no cut. Sessions are cut by their first event, errors by their own platform and
-- country. Players are counted at each row's own grain: never add them up.
--
-- title: Stability
-- chart: line x=date y=crash_free_sessions,crash_free_players
-- load: replace
-- key: date, platform, country
-- partition: date
-- lookahead: 7 days
--
-- @date: UTC day.
-- @platform: Platform, 'all' for every one.
-- @country: Country, 'all' for every one.
-- @sessions: Sessions whose first event falls on the day.
-- @crashed_sessions: Of these, with a fatal error.
-- @crash_free_sessions: Share of the sessions without one.
-- @active_players: Distinct players with at least one event on the day.
-- @crashed_players: Distinct players with a fatal error on the day.
-- @crash_free_players: Share of the active players without one.
-- @errors: Errors on the day.
-- @fatal_errors: Of these, fatal.
WITH
-- Sessions and active players of the day.
play AS (
    SELECT date, platform, country, sessions, dau AS active_players
    FROM star.mart_daily_kpi
    WHERE sessions > 0 OR dau > 0
),
-- Sessions with a fatal error, within a week of their first event.
crashed_sessions AS (
    SELECT DISTINCT
        session.session_id,
        session.session_date    AS date,
        session.platform,
        session.country
    FROM star.fact_session AS session
    JOIN star.fact_error AS error
        ON error.session_id = session.session_id
        AND error.date <= session.session_date + INTERVAL '7 days'
    WHERE error.fatal
),
-- Their number, by cut.
session_crashes AS (
    SELECT
        date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        count(*)                    AS crashed_sessions
    FROM crashed_sessions
    GROUP BY GROUPING SETS ((date), (date, platform), (date, country), (date, platform, country))
),
-- Errors of the day, and players who had a fatal one.
errors AS (
    SELECT
        date,
        coalesce(platform, 'all')                           AS platform,
        coalesce(country, 'all')                            AS country,
        count(*)                                            AS errors,
        count(*) FILTER (WHERE fatal)                       AS fatal_errors,
        count(DISTINCT player_id) FILTER (WHERE fatal)      AS crashed_players
    FROM star.fact_error
    GROUP BY GROUPING SETS ((date), (date, platform), (date, country), (date, platform, country))
),
-- All of them side by side.
totals AS (
    SELECT
        play.date,
        play.platform,
        play.country,
        play.sessions,
        coalesce(session_crashes.crashed_sessions, 0)       AS crashed_sessions,
        play.active_players,
        coalesce(errors.crashed_players, 0)                 AS crashed_players,
        coalesce(errors.errors, 0)                          AS errors,
        coalesce(errors.fatal_errors, 0)                    AS fatal_errors
    FROM play
    LEFT JOIN session_crashes
        ON session_crashes.date = play.date AND session_crashes.platform = play.platform
        AND session_crashes.country = play.country
    LEFT JOIN errors
        ON errors.date = play.date AND errors.platform = play.platform
        AND errors.country = play.country
)
SELECT
    date,
    platform,
    country,
    sessions,
    crashed_sessions,
    CAST(sessions - crashed_sessions AS DOUBLE) / nullif(sessions, 0)               AS crash_free_sessions,
    active_players,
    crashed_players,
    CAST(active_players - crashed_players AS DOUBLE) / nullif(active_players, 0)    AS crash_free_players,
    errors,
    fatal_errors
FROM totals

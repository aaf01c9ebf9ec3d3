-- title: Sources and sinks by level
-- Where currency comes from and where it goes, by the level that players have reached by then. Where
-- much more comes in than goes out, prices lose their meaning.
--
-- param currency: VARCHAR(16) = 'coins'  -- coins or gems
-- param band: INT = 10  -- levels that are put together
WITH
-- What players earn and spend, and the levels that they finish, on one time line.
timeline AS (
    SELECT player_id, event_time, CAST(NULL AS INT) AS level, amount, source AS reason, 'source' AS kind
    FROM events.currency_earned
    WHERE currency = $currency
    UNION ALL
    SELECT player_id, event_time, CAST(NULL AS INT), amount, sink, 'sink'
    FROM events.currency_spent
    WHERE currency = $currency
    UNION ALL
    SELECT player_id, event_time, level, CAST(NULL AS BIGINT), CAST(NULL AS TEXT), CAST(NULL AS TEXT)
    FROM events.level_start
),
-- Each movement with the highest level that the player had seen by then.
movements AS (
    SELECT
        player_id,
        amount,
        reason,
        kind,
        coalesce(
            max(level) OVER (
                PARTITION BY player_id
                ORDER BY event_time
                RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ),
            1
        )                                                                   AS level
    FROM timeline
),
-- By bands of levels.
banded AS (
    SELECT
        ((level - 1) / $band) * $band + 1                                   AS from_level,
        player_id,
        amount,
        reason,
        kind
    FROM movements
    WHERE kind IS NOT NULL
)
SELECT
    from_level,
    kind,
    reason,
    count(*)                                                                AS movements,
    count(DISTINCT player_id)                                               AS players,
    sum(amount)                                                             AS amount,
    round(CAST(sum(amount) AS DOUBLE) / count(DISTINCT player_id), 1)       AS amount_per_player,
    round(
        CAST(sum(amount) AS DOUBLE)
            / CAST(sum(sum(amount)) OVER (PARTITION BY from_level, kind) AS DOUBLE),
        4
    )                                                                       AS share_of_kind
FROM banded
GROUP BY from_level, kind, reason
ORDER BY from_level, kind DESC, amount DESC, reason

-- One row per level that was played, as it was last described.
--
-- load: upsert
-- key: level_id
-- combine: level = last(last_seen_at), chapter = last(described_at),
--          difficulty = last(described_at), described_at = max, first_seen_at = min,
--          last_seen_at = max
--
-- @level_id: The level.
-- @level: Position of the level in the game, from 1.
-- @chapter: Chapter that it belongs to, from 1; known from starts only.
-- @difficulty: easy, normal, hard or boss; known from starts only.
-- @described_at: Time of the latest start, from which chapter and difficulty are.
-- @first_seen_at: Time of the first event about it.
-- @last_seen_at: Time of the latest event about it.
WITH
-- Every mention of a level. An attempt's end says nothing about chapter and difficulty.
mentions AS (
    SELECT level_id, level, chapter, difficulty, event_time, event_time AS described_at
    FROM events.level_start
    UNION ALL
    SELECT level_id, level, NULL, NULL, event_time, NULL
    FROM events.level_end
)
SELECT
    level_id,
    last_value(level ORDER BY event_time, level)        AS level,
    last_value(chapter ORDER BY described_at NULLS FIRST, chapter NULLS FIRST)
                                                        AS chapter,
    last_value(difficulty ORDER BY described_at NULLS FIRST, difficulty NULLS FIRST)
                                                        AS difficulty,
    max(described_at)                                   AS described_at,
    min(event_time)                                     AS first_seen_at,
    max(event_time)                                     AS last_seen_at
FROM mentions
GROUP BY level_id

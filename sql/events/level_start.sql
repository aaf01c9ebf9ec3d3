-- A player began an attempt at a level.
CREATE TABLE level_start (
    attempt_id VARCHAR(64) NOT NULL,                  -- Joins level_start and level_end of one attempt
    level_id   VARCHAR(64) NOT NULL,                  -- Level played; see dim_level
    level      INTEGER NOT NULL CHECK (level >= 1),   -- Position of the level in the game, from 1
    chapter    SMALLINT CHECK (chapter >= 1),         -- Chapter that the level belongs to, from 1
    difficulty VARCHAR(16),                           -- easy, normal, hard or boss
    attempt    INTEGER NOT NULL CHECK (attempt >= 1), -- Counts the player's attempts at this level, from 1
    boosters   SMALLINT CHECK (boosters >= 0)         -- Boosters taken along
);

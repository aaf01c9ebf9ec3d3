-- A player finished a level.
CREATE TABLE level_completed (
    level_id     TEXT NOT NULL,                                 -- Level, as named in the game's editor.
    stars        SMALLINT NOT NULL CHECK (stars BETWEEN 1 AND 3),  -- Stars won.
    duration_ms  BIGINT NOT NULL CHECK (duration_ms >= 0),      -- Time from start to finish, in milliseconds.
    boosters     INTEGER CHECK (boosters >= 0)                  -- Boosters used; missing before version 1.1.
);

-- A play session ended in an orderly way; a crash or a lost connection sends none.
CREATE TABLE session_end (
    end_reason     VARCHAR(32) NOT NULL,                     -- player_quit, background or timeout
    duration_ms    BIGINT NOT NULL CHECK (duration_ms >= 0), -- Time since session_start by the client, milliseconds
    levels_played  INTEGER CHECK (levels_played >= 0),       -- Level attempts finished in the session
    matches_played INTEGER CHECK (matches_played >= 0)       -- Matches finished in the session
);

-- A match against another player ended.
CREATE TABLE match_end (
    match_id      VARCHAR(64) NOT NULL,                                           -- Identifies the match
    mode          VARCHAR(32) NOT NULL,                                           -- duel, ranked or tournament
    opponent_id   TEXT,                                                           -- player_id of the opponent; absent against the computer
    result        VARCHAR(16) NOT NULL CHECK (result IN ('win', 'loss', 'draw')), -- Result for this player
    duration_ms   INTEGER NOT NULL CHECK (duration_ms >= 0),                      -- Length of the match, milliseconds
    rating_before INTEGER CHECK (rating_before >= 0),                             -- Rating before the match
    rating_after  INTEGER CHECK (rating_after >= 0),                              -- Rating after the match
    accuracy      DOUBLE CHECK (accuracy >= 0 AND accuracy <= 1)                  -- Share of moves that hit
);

-- A player reached an achievement.
CREATE TABLE achievement_unlocked (
    achievement_id   VARCHAR(64) NOT NULL,                -- Achievement
    achievement_name VARCHAR(64),                         -- Name shown in the game
    tier             VARCHAR(16),                         -- bronze, silver or gold
    points           INTEGER NOT NULL CHECK (points >= 0) -- Points that it is worth
);

-- The client came to the foreground and a play session began.
CREATE TABLE session_start (
    session_number INTEGER NOT NULL CHECK (session_number >= 1), -- Counts the player's sessions, from 1
    device_model   VARCHAR(64),                                  -- Device of this session
    os_version     VARCHAR(32),                                  -- Operating system of this session
    network_type   VARCHAR(16),                                  -- wifi, cellular or ethernet
    coins_balance  BIGINT CHECK (coins_balance >= 0),            -- Coins owned at the start
    gems_balance   BIGINT CHECK (gems_balance >= 0)              -- Gems owned at the start
);

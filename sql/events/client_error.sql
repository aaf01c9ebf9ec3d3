-- Something went wrong in the client.
CREATE TABLE client_error (
    error_code     VARCHAR(32) NOT NULL,                -- Stable code of the error
    message        TEXT,                                -- What the client said
    fatal          BOOLEAN NOT NULL,                    -- Whether it ended the session
    screen         VARCHAR(32),                         -- Where in the game
    free_memory_mb INTEGER CHECK (free_memory_mb >= 0), -- Memory left on the device, mebibytes
    context        JSON                                 -- Whatever else the client reported
);

-- The keys of the API, in the warehouse database.

CREATE TABLE IF NOT EXISTS meta_api_keys (
    id          TEXT    PRIMARY KEY,
    name        TEXT    NOT NULL,
    secret_hash BLOB    NOT NULL,             -- SHA-256
    scopes      TEXT    NOT NULL,             -- names, separated by commas
    rate_limit  INTEGER,                      -- requests per second; NULL: the setting's
    created_at  INTEGER NOT NULL,             -- milliseconds since 1970
    expires_at  INTEGER,
    revoked_at  INTEGER
) WITHOUT ROWID;

-- The keys of the API.

CREATE TABLE questlake.api_keys (
    id          text COLLATE "C" PRIMARY KEY,
    name        text NOT NULL,
    secret_hash bytea NOT NULL CHECK (length(secret_hash) = 32),
    scopes      text COLLATE "C" NOT NULL,
    rate_limit  bigint,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz,
    revoked_at  timestamptz
);
COMMENT ON TABLE  questlake.api_keys IS 'The keys of the API';
COMMENT ON COLUMN questlake.api_keys.id IS 'What the key is known by; it is no secret';
COMMENT ON COLUMN questlake.api_keys.name IS 'Whose it is';
COMMENT ON COLUMN questlake.api_keys.secret_hash IS 'SHA-256 of its secret';
COMMENT ON COLUMN questlake.api_keys.scopes IS 'What it is good for, separated by commas';
COMMENT ON COLUMN questlake.api_keys.rate_limit IS 'Most requests per second; NULL for the setting''s';
COMMENT ON COLUMN questlake.api_keys.expires_at IS 'When it ends by itself';
COMMENT ON COLUMN questlake.api_keys.revoked_at IS 'When it was revoked';

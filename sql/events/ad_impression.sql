-- An advertisement was shown to a player.
CREATE TABLE ad_impression (
    impression_id VARCHAR(64) NOT NULL,                            -- Unique per impression
    network       VARCHAR(32) NOT NULL,                            -- Advertising network that paid for it
    placement     VARCHAR(32) NOT NULL,                            -- Where in the game, such as extra_life
    ad_format     VARCHAR(16) NOT NULL,                            -- rewarded, interstitial or banner
    revenue_usd   DECIMAL(12,6) NOT NULL CHECK (revenue_usd >= 0), -- Revenue of the impression, US dollars
    completed     BOOLEAN,                                         -- Whether it was watched to the end
    watched_ms    INTEGER CHECK (watched_ms >= 0)                  -- How long it was watched, milliseconds
);

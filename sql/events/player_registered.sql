-- A player opened an account: the first thing that the account service knows about them.
CREATE TABLE player_registered (
    display_name        VARCHAR(64) NOT NULL, -- Name chosen by the player, in any script
    acquisition_channel VARCHAR(32) NOT NULL, -- Where the player came from, such as organic or paid_social
    campaign            VARCHAR(64),          -- Advertising campaign, for paid channels only
    device_model        VARCHAR(64),          -- Device at registration
    os_version          VARCHAR(32),          -- Operating system at registration
    language            VARCHAR(16),          -- Language of the client (BCP 47)
    installed_at        TIMESTAMP,            -- When the client was installed
    referred_by         TEXT                  -- player_id of the friend who invited the player
);

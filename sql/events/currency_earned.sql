-- A player received virtual currency.
CREATE TABLE currency_earned (
    currency      VARCHAR(16) NOT NULL,                      -- coins (soft) or gems (hard)
    amount        BIGINT NOT NULL CHECK (amount > 0),        -- Units received
    source        VARCHAR(32) NOT NULL,                      -- Why: level_win, match_reward, daily_reward, purchase, ...
    balance_after BIGINT NOT NULL CHECK (balance_after >= 0) -- Units owned afterwards
);

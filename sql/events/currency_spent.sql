-- A player paid with virtual currency.
CREATE TABLE currency_spent (
    currency      VARCHAR(16) NOT NULL,                      -- coins (soft) or gems (hard)
    amount        BIGINT NOT NULL CHECK (amount > 0),        -- Units paid
    sink          VARCHAR(32) NOT NULL,                      -- What for: booster, extra_life, shop, tournament_entry, ...
    item_id       VARCHAR(64),                               -- Item bought, if any; see dim_item
    balance_after BIGINT NOT NULL CHECK (balance_after >= 0) -- Units owned afterwards
);

-- A player spent coins in the game's shop.
CREATE TABLE coins_spent (
    item_id        VARCHAR(64) NOT NULL,                -- What was bought.
    coins          INTEGER NOT NULL CHECK (coins > 0),  -- Coins paid.
    balance_after  BIGINT NOT NULL,                     -- Coins left after paying.
    CONSTRAINT no_debts CHECK (balance_after >= 0)
);

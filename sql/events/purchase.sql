-- A player paid real money in the store.
CREATE TABLE purchase (
    purchase_id    VARCHAR(64) NOT NULL,                                 -- Store receipt, unique per payment
    item_id        VARCHAR(64) NOT NULL,                                 -- Item bought; see dim_item
    item_name      VARCHAR(64),                                          -- Name shown in the store
    item_category  VARCHAR(32) NOT NULL,                                 -- booster, cosmetic, gear or bundle
    price_usd      DECIMAL(10,2) NOT NULL CHECK (price_usd >= 0),        -- Price of one unit, US dollars
    quantity       INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 1000), -- Units bought
    store          VARCHAR(32) NOT NULL,                                 -- app_store, google_play, web_shop or steam
    local_currency VARCHAR(3)                                            -- Currency of the payment (ISO 4217)
);

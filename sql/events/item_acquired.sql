-- A player got an item of the game.
CREATE TABLE item_acquired (
    item_id   VARCHAR(64) NOT NULL,                                                           -- Item; see dim_item
    item_name VARCHAR(64),                                                                    -- Name shown in the game
    category  VARCHAR(32) NOT NULL,                                                           -- booster, cosmetic, gear or bundle
    rarity    VARCHAR(16) NOT NULL CHECK (rarity IN ('common', 'rare', 'epic', 'legendary')), -- How scarce the item is
    quantity  INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 1000),                           -- Pieces received
    source    VARCHAR(32) NOT NULL                                                            -- How: shop, level_drop, chest, purchase or gift
);

-- A player bought coins for the machine.
CREATE TABLE coins_bought (
    price_eur DECIMAL(8, 2) NOT NULL CHECK (price_eur > 0) -- What was paid
);

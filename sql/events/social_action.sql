-- A player did something with or for other players.
CREATE TABLE social_action (
    action           VARCHAR(32) NOT NULL, -- friend_added, gift_sent, gift_received, clan_joined, shared or message_sent
    target_player_id TEXT,                 -- player_id of the other player, if it is one
    channel          VARCHAR(32)           -- Where: in_game, clan or a social network
);

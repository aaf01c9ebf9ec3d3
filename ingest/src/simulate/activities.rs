//! What players do in a session, and the events that tell of it.

use super::catalog::{
    ACHIEVEMENTS, AD_NETWORKS, Currency, ERRORS, Feat, FlowReason, ITEMS, Item, LAST_LEVEL,
    LEVELS_PER_CHAPTER, LevelResult, OFFERS, PLATFORMS, STARTER_OFFER, difficulty,
};
use super::emitter::{Emitter, Origin};
use super::event::EventType;
use super::player::{Player, PlayerId};
use super::session::{Session, expose};
use super::truth::{Detail, Flow};
use super::writer::write_integer;

/// What one more try after a lost level costs, gems.
const EXTRA_LIFE_GEMS: i64 = 9;
/// Revenue of an average rewarded advertisement, millionths of a US dollar.
const REWARDED_AD_MICROS: f64 = 9_500.0;

/// One attempt at the player's current level.
pub(super) fn play_level(player: &mut Player, session: &mut Session<'_>, out: &mut Emitter) {
    player.attempts += 1;
    let level = player.level;
    let (difficulty_name, handicap) = difficulty(level);
    let attempt_id = player.random.bits();
    let booster = buy_booster(player, out);
    out.properties.hex("attempt_id", "a", attempt_id);
    write_level(out, level);
    out.properties.integer("chapter", i64::from((level - 1) / LEVELS_PER_CHAPTER + 1));
    out.properties.text("difficulty", difficulty_name);
    out.properties.integer("attempt", i64::from(player.attempts));
    out.properties.integer("boosters", i64::from(booster));
    out.emit_detailed(player, EventType::LevelStart, Origin::Client, Detail::LevelStart { level });

    let start_ms = player.clock_ms;
    player.pass_ms(25_000, 170_000);
    let practice = 0.05 * f64::from(player.attempts.min(6));
    let luck = if booster { 0.12 } else { 0.0 };
    let win_chance = (0.28 + 0.62 * player.skill - handicap + practice + luck).clamp(0.05, 0.97);
    let won = player.random.chance(win_chance);
    let quit = !won && player.random.chance(0.13);
    let score = player.random.between(800, 6_000) + if won { 4_000 } else { 0 };
    let stars = if won { 1 + player.random.below(3) } else { 0 };
    let result = match (won, quit) {
        (true, _) => LevelResult::Win,
        (_, true) => LevelResult::Quit,
        _ => LevelResult::Loss,
    };
    let duration_ms = player.clock_ms - start_ms;
    out.properties.hex("attempt_id", "a", attempt_id);
    write_level(out, level);
    out.properties.integer("attempt", i64::from(player.attempts));
    out.properties.text("result", result.name());
    out.properties.integer("duration_ms", duration_ms);
    out.properties.integer("score", i64::from(score));
    out.properties.integer("stars", i64::from(stars));
    let detail = Detail::LevelEnd { level, attempt: player.attempts, result, duration_ms };
    out.emit_detailed(player, EventType::LevelEnd, Origin::Client, detail);
    session.levels_played += 1;
    if won {
        win_level(player, stars, out);
    } else if !quit {
        lose_level(player, session, out);
    }
}

fn write_level(out: &mut Emitter, level: u32) {
    let mut id = Vec::with_capacity(16);
    id.extend_from_slice(b"level_");
    write_integer(&mut id, i64::from(level));
    out.properties.text("level_id", std::str::from_utf8(&id).unwrap_or_default());
    out.properties.integer("level", i64::from(level));
}

/// Sometimes a booster is bought before a level.
fn buy_booster(player: &mut Player, out: &mut Emitter) -> bool {
    if !player.random.chance(0.10) {
        return false;
    }
    let item = player.random.pick(&ITEMS[..3]);
    spend(player, item.currency, item.price, FlowReason::Booster, Some(item.id), out)
}

fn win_level(player: &mut Player, stars: u32, out: &mut Emitter) {
    player.level_wins += 1;
    player.level = (player.level + 1).min(LAST_LEVEL);
    player.attempts = 0;
    player.pass_ms(300, 2_000);
    let amount = 20 + 10 * i64::from(stars) + i64::from(player.random.below(15));
    earn_coins(player, amount, FlowReason::LevelWin, out);
    if player.random.chance(0.07) {
        player.pass_ms(200, 1_500);
        let rarity = player.random.below(ITEMS.len() as u32).min(player.random.below(9));
        acquire(player, &ITEMS[rarity as usize], 1, "level_drop", out);
    }
    unlock_achievements(player, Feat::LevelWins, out);
}

/// After a lost level: an advertisement or gems for another life, or nothing.
fn lose_level(player: &mut Player, session: &Session<'_>, out: &mut Emitter) {
    let appetite = session.persona.appetites[3];
    if player.random.chance((0.12 * appetite).min(0.6)) {
        player.pass_ms(500, 3_000);
        show_ad(player, session, "rewarded", "extra_life", out);
    } else if player.random.chance(0.05) {
        player.pass_ms(500, 3_000);
        spend(player, Currency::Gems, EXTRA_LIFE_GEMS, FlowReason::ExtraLife, None, out);
    }
}

/// A match against another player, or against the computer.
pub(super) fn play_match(player: &mut Player, session: &mut Session<'_>, out: &mut Emitter) {
    let mode = *player.random.pick(&["duel", "ranked", "ranked", "tournament"]);
    let entry = FlowReason::TournamentEntry;
    if mode == "tournament" && !spend(player, Currency::Coins, 100, entry, None, out) {
        return;
    }
    let start_ms = player.clock_ms;
    player.pass_ms(60_000, 300_000);
    let draw = player.random.chance(0.04);
    let won = !draw && player.random.chance((0.15 + 0.62 * player.skill).min(0.9));
    let change = match (won, draw) {
        (true, _) => player.random.between(8, 24) as i32,
        (_, true) => 0,
        _ => -(player.random.between(8, 22) as i32),
    };
    let before = player.rating;
    player.rating = (before + change).max(0);
    let match_id = player.random.bits();
    out.properties.hex("match_id", "m", match_id);
    out.properties.text("mode", mode);
    if !player.random.chance(0.2) {
        let opponent = PlayerId(player.random.bits());
        out.properties.player("opponent_id", opponent);
    }
    out.properties.text(
        "result",
        if won {
            "win"
        } else if draw {
            "draw"
        } else {
            "loss"
        },
    );
    out.properties.integer("duration_ms", player.clock_ms - start_ms);
    out.properties.integer("rating_before", i64::from(before));
    out.properties.integer("rating_after", i64::from(player.rating));
    let accuracy = player.random.between(2_000, 9_900);
    out.properties.fraction("accuracy", i64::from(accuracy), 4);
    out.emit(player, EventType::MatchEnd, Origin::Client);
    session.matches_played += 1;
    if won {
        player.match_wins += 1;
        player.pass_ms(300, 2_000);
        let amount = if mode == "tournament" { 260 } else { 45 };
        earn_coins(player, amount, FlowReason::MatchReward, out);
        unlock_achievements(player, Feat::MatchWins, out);
    }
}

/// A visit to the shop: perhaps a purchase with money, perhaps one with the game's currencies.
pub(super) fn visit_shop(player: &mut Player, session: &Session<'_>, out: &mut Emitter) {
    player.pass_ms(2_000, 12_000);
    expose(player, STARTER_OFFER, session.day, out);
    let tempted = if player.variant(STARTER_OFFER) == 1 { 1.25 } else { 1.0 };
    if player.random.chance(session.persona.purchase_chance * tempted) {
        purchase(player, session, out);
        return;
    }
    let item = player.random.pick(&ITEMS);
    if player.random.chance(0.6)
        && spend(player, item.currency, item.price, FlowReason::Shop, Some(item.id), out)
    {
        player.pass_ms(100, 900);
        acquire(player, item, 1, "shop", out);
    }
}

fn purchase(player: &mut Player, session: &Session<'_>, out: &mut Emitter) {
    let persona = session.persona;
    let choice = persona.price_weights.pick(&mut player.random);
    let offer = &OFFERS[persona.price_offers.get(choice).copied().unwrap_or(0)];
    let quantity = if player.random.chance(0.04) { player.random.between(2, 4) } else { 1 };
    player.pass_ms(8_000, 60_000);
    let receipt = player.random.bits();
    out.properties.hex("purchase_id", "pay_", receipt);
    out.properties.text("item_id", offer.item_id);
    out.properties.text("item_name", offer.name);
    out.properties.text("item_category", offer.category);
    out.properties.fraction("price_usd", i64::from(offer.price_cents), 2);
    out.properties.integer("quantity", i64::from(quantity));
    out.properties.text("store", PLATFORMS[usize::from(session.platform)].store);
    let local_currency = *player.random.pick(&["USD", "USD", "EUR", "JPY"]);
    out.properties.text("local_currency", local_currency);
    let cents = i64::from(offer.price_cents) * i64::from(quantity);
    let in_time = player.clock_ms < out.end_ms();
    out.emit_detailed(player, EventType::Purchase, Origin::Client, Detail::Purchase { cents });
    if !in_time {
        return;
    }
    player.purchases += 1;
    player.pass_ms(100, 900);
    let gems = offer.gems * i64::from(quantity);
    player.gems += gems;
    let (currency, reason) = (Currency::Gems, FlowReason::Purchase);
    earn(player, Flow { currency, reason, amount: gems, balance: player.gems }, out);
    player.pass_ms(20, 200);
    out.properties.text("item_id", offer.item_id);
    out.properties.text("item_name", offer.name);
    out.properties.text("category", offer.category);
    out.properties.text("rarity", offer.rarity);
    out.properties.integer("quantity", i64::from(quantity));
    out.properties.text("source", "purchase");
    out.emit(player, EventType::ItemAcquired, Origin::Client);
    unlock_achievements(player, Feat::Purchases, out);
}

/// An advertisement that the game shows, or that the player asks for.
pub(super) fn watch_ad(player: &mut Player, session: &Session<'_>, out: &mut Emitter) {
    let (format, placement) = *player.random.pick(&[
        ("rewarded", "double_coins"),
        ("rewarded", "free_chest"),
        ("interstitial", "level_break"),
        ("banner", "home_banner"),
    ]);
    show_ad(player, session, format, placement, out);
    if format == "rewarded" {
        player.pass_ms(200, 1_500);
        earn_coins(player, 60, FlowReason::RewardedAd, out);
    }
}

fn show_ad(
    player: &mut Player,
    session: &Session<'_>,
    format: &str,
    placement: &str,
    out: &mut Emitter,
) {
    let (network, pays) = *player.random.pick(&AD_NETWORKS);
    let (share, most_ms) = match format {
        "rewarded" => (1.0, 31_000),
        "interstitial" => (0.45, 16_000),
        _ => (0.04, 9_000),
    };
    let start_ms = player.clock_ms;
    player.pass_ms(most_ms / 5, most_ms);
    let country = player.country.map(usize::from);
    let value = country.and_then(|index| session.personas.countries.get(index));
    let value = value.map_or(0.5, |country| country.ad_value);
    let spread = 0.4 + 1.2 * player.random.unit();
    let micros = (REWARDED_AD_MICROS * share * pays * value * spread) as i64;
    let completed = player.random.chance(0.93);
    let impression = player.random.bits();
    out.properties.hex("impression_id", "i", impression);
    out.properties.text("network", network);
    out.properties.text("placement", placement);
    out.properties.text("ad_format", format);
    out.properties.fraction("revenue_usd", micros, 6);
    out.properties.boolean("completed", completed);
    out.properties.integer("watched_ms", player.clock_ms - start_ms);
    // Some networks report by a callback from their servers, which know nothing of sessions.
    let origin = if network == "ironsource" { Origin::Server } else { Origin::Client };
    out.emit_detailed(player, EventType::AdImpression, origin, Detail::Ad { micros });
}

/// Something with or for other players.
pub(super) fn be_social(player: &mut Player, out: &mut Emitter) {
    player.pass_ms(2_000, 20_000);
    let (action, channel, has_target) = *player.random.pick(&[
        ("gift_sent", "in_game", true),
        ("gift_sent", "in_game", true),
        ("message_sent", "clan", false),
        ("message_sent", "clan", false),
        ("friend_added", "in_game", true),
        ("clan_joined", "clan", false),
        ("shared", "instagram", false),
    ]);
    write_social(player, action, channel, has_target, out);
    out.emit(player, EventType::SocialAction, Origin::Client);
}

/// Something that others do for the player while the player is away.
pub(super) fn receive_gift(player: &mut Player, out: &mut Emitter) {
    write_social(player, "gift_received", "in_game", true, out);
    out.emit(player, EventType::SocialAction, Origin::Server);
}

fn write_social(
    player: &mut Player,
    action: &str,
    channel: &str,
    has_target: bool,
    out: &mut Emitter,
) {
    out.properties.text("action", action);
    if has_target {
        out.properties.player("target_player_id", PlayerId(player.random.bits()));
    }
    out.properties.text("channel", channel);
}

/// An error of the client.
pub(super) fn report_error(player: &mut Player, fatal: bool, out: &mut Emitter) {
    let (code, message, screen) =
        if fatal { *player.random.pick(&ERRORS[2..]) } else { *player.random.pick(&ERRORS[..2]) };
    let free_memory = player.random.between(12, 2_400);
    out.properties.text("error_code", code);
    out.properties.text("message", message);
    out.properties.boolean("fatal", fatal);
    out.properties.text("screen", screen);
    out.properties.integer("free_memory_mb", i64::from(free_memory));
    if player.random.chance(0.5) {
        out.properties
            .json("context", "{\"scene\":\"Board\",\"fps\":[58.5,31.25,4],\"vsync\":true}");
    }
    let detail = Detail::ClientError { fatal };
    out.emit_detailed(player, EventType::ClientError, Origin::Client, detail);
}

/// The achievements that the player has just reached.
pub(super) fn unlock_achievements(player: &mut Player, feat: Feat, out: &mut Emitter) {
    let count = player.feat_count(feat);
    for achievement in &ACHIEVEMENTS {
        if achievement.feat == feat && achievement.count == count {
            player.pass_ms(50, 600);
            out.properties.text("achievement_id", achievement.id);
            out.properties.text("achievement_name", achievement.name);
            out.properties.text("tier", achievement.tier);
            out.properties.integer("points", achievement.points);
            out.emit(player, EventType::AchievementUnlocked, Origin::Client);
        }
    }
}

/// Coins come in.
pub(super) fn earn_coins(player: &mut Player, amount: i64, reason: FlowReason, out: &mut Emitter) {
    player.coins += amount;
    earn(player, Flow { currency: Currency::Coins, reason, amount, balance: player.coins }, out);
}

fn earn(player: &mut Player, flow: Flow, out: &mut Emitter) {
    out.properties.text("currency", flow.currency.name());
    out.properties.integer("amount", flow.amount);
    out.properties.text("source", flow.reason.name());
    out.properties.integer("balance_after", flow.balance);
    out.emit_detailed(player, EventType::CurrencyEarned, Origin::Client, Detail::Flow(flow));
}

/// Pays, if the player can; time passes afterwards. Returns whether they could.
fn spend(
    player: &mut Player,
    currency: Currency,
    amount: i64,
    reason: FlowReason,
    item_id: Option<&str>,
    out: &mut Emitter,
) -> bool {
    let balance = match currency {
        Currency::Coins => &mut player.coins,
        Currency::Gems => &mut player.gems,
    };
    if *balance < amount {
        return false;
    }
    *balance -= amount;
    let flow = Flow { currency, reason, amount, balance: *balance };
    out.properties.text("currency", currency.name());
    out.properties.integer("amount", amount);
    out.properties.text("sink", reason.name());
    if let Some(item_id) = item_id {
        out.properties.text("item_id", item_id);
    }
    out.properties.integer("balance_after", flow.balance);
    out.emit_detailed(player, EventType::CurrencySpent, Origin::Client, Detail::Flow(flow));
    player.pass_ms(200, 1_200);
    true
}

fn acquire(player: &mut Player, item: &Item, quantity: u32, source: &str, out: &mut Emitter) {
    out.properties.text("item_id", item.id);
    out.properties.text("item_name", item.name);
    out.properties.text("category", item.category);
    out.properties.text("rarity", item.rarity);
    out.properties.integer("quantity", i64::from(quantity));
    out.properties.text("source", source);
    out.emit(player, EventType::ItemAcquired, Origin::Client);
}

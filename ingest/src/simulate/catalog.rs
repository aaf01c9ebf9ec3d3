//! What the simulated game consists of: platforms, levels, items, offers, achievements,
//! experiments. Texts stand here as they are written into JSON strings, escapes included.

/// Value of `game` in every event.
pub(super) const GAME: &str = "emberlake";

/// A platform of the game's client.
pub(super) struct Platform {
    pub(super) name: &'static str,
    pub(super) store: &'static str,
    pub(super) network_types: &'static [&'static str],
    pub(super) devices: &'static [&'static str],
    pub(super) os_versions: &'static [&'static str],
}

/// All platforms; others refer to them by index.
pub(super) const PLATFORMS: [Platform; 4] = [
    Platform {
        name: "android",
        store: "google_play",
        network_types: &["wifi", "wifi", "cellular"],
        devices: &["Pixel 9", "Galaxy S25", "Galaxy A16", "Redmi Note 14", "Moto G85"],
        os_versions: &["13", "14", "15", "15", "16"],
    },
    Platform {
        name: "ios",
        store: "app_store",
        network_types: &["wifi", "wifi", "cellular"],
        devices: &["iPhone 14", "iPhone 15", "iPhone 16 Pro", "iPhone SE", "iPad Air"],
        os_versions: &["17.7", "18.2", "18.5", "26.0", "26.1"],
    },
    Platform {
        name: "web",
        store: "web_shop",
        network_types: &["wifi", "ethernet"],
        devices: &["Chrome 142", "Firefox 145", "Safari 26", "Edge 142"],
        os_versions: &["Windows 11", "macOS 26", "Ubuntu 24.04"],
    },
    Platform {
        name: "pc",
        store: "steam",
        network_types: &["ethernet", "wifi"],
        devices: &["Steam Deck", "Desktop", "Laptop"],
        os_versions: &["Windows 10", "Windows 11", "SteamOS 3.7"],
    },
];

/// Index of a platform by its name.
pub(super) fn platform_index(name: &str) -> Option<usize> {
    PLATFORMS.iter().position(|platform| platform.name == name)
}

/// Something for sale for real money.
pub(super) struct Offer {
    pub(super) item_id: &'static str,
    pub(super) name: &'static str,
    pub(super) category: &'static str,
    pub(super) rarity: &'static str,
    pub(super) price_cents: u32,
    pub(super) gems: i64,
}

/// All offers, one per price point.
pub(super) const OFFERS: [Offer; 7] = [
    offer("gem_pouch", "Pouch of Gems", "booster", "common", 99, 80),
    offer("starter_bundle", "Starter Bundle", "bundle", "rare", 199, 200),
    offer("gem_chest", "Chest of Gems", "booster", "common", 499, 500),
    offer("knight_bundle", "Knight\\u2019s Bundle", "bundle", "rare", 999, 1_100),
    offer("gem_vault", "Vault of Gems", "booster", "epic", 1_999, 2_400),
    offer("royal_bundle", "Royal Bundle", "bundle", "epic", 4_999, 6_500),
    offer("dragon_bundle", "Dragon Bundle", "bundle", "legendary", 9_999, 14_000),
];

const fn offer(
    item_id: &'static str,
    name: &'static str,
    category: &'static str,
    rarity: &'static str,
    price_cents: u32,
    gems: i64,
) -> Offer {
    Offer { item_id, name, category, rarity, price_cents, gems }
}

/// An item that the game gives, or sells for its own currencies.
pub(super) struct Item {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) category: &'static str,
    pub(super) rarity: &'static str,
    pub(super) currency: Currency,
    pub(super) price: i64,
}

/// All items, from the common to the scarce.
pub(super) const ITEMS: [Item; 12] = [
    item("booster_hammer", "Hammer", "booster", "common", Currency::Coins, 120),
    item("booster_swap", "Swap", "booster", "common", Currency::Coins, 150),
    item("booster_bomb", "Bomb", "booster", "common", Currency::Coins, 200),
    item("hat_straw", "Straw Hat", "cosmetic", "common", Currency::Coins, 400),
    item("sword_iron", "Iron Sword", "gear", "common", Currency::Coins, 650),
    item("shield_oak", "Oak Shield", "gear", "rare", Currency::Coins, 900),
    item("booster_rainbow", "Rainbow", "booster", "rare", Currency::Gems, 30),
    item("cape_ember", "Ember Cape", "cosmetic", "rare", Currency::Gems, 90),
    item("bow_moon", "Bow of the Moon", "gear", "epic", Currency::Gems, 180),
    item("mount_otter", "Giant Otter", "cosmetic", "epic", Currency::Gems, 320),
    item("sword_dawn", "Sword of Dawn", "gear", "legendary", Currency::Gems, 700),
    item("dragon_egg", "Dragon\\u2019s Egg", "cosmetic", "legendary", Currency::Gems, 1_200),
];

const fn item(
    id: &'static str,
    name: &'static str,
    category: &'static str,
    rarity: &'static str,
    currency: Currency,
    price: i64,
) -> Item {
    Item { id, name, category, rarity, currency, price }
}

/// The game's own currencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Currency {
    /// The soft one, earned by playing.
    Coins,
    /// The hard one, mostly bought.
    Gems,
}

impl Currency {
    /// Both, in the order of their names.
    pub(super) const ALL: [Self; 2] = [Self::Coins, Self::Gems];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Coins => "coins",
            Self::Gems => "gems",
        }
    }
}

/// Why a currency comes in or goes out: its source or its sink. In the order of direction and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum FlowReason {
    DailyReward,
    LevelWin,
    MatchReward,
    Purchase,
    RewardedAd,
    Booster,
    ExtraLife,
    Shop,
    TournamentEntry,
}

impl FlowReason {
    /// Number of reasons.
    pub(super) const COUNT: usize = 9;

    /// All reasons, the sources before the sinks.
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::DailyReward,
        Self::LevelWin,
        Self::MatchReward,
        Self::Purchase,
        Self::RewardedAd,
        Self::Booster,
        Self::ExtraLife,
        Self::Shop,
        Self::TournamentEntry,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::DailyReward => "daily_reward",
            Self::LevelWin => "level_win",
            Self::MatchReward => "match_reward",
            Self::Purchase => "purchase",
            Self::RewardedAd => "rewarded_ad",
            Self::Booster => "booster",
            Self::ExtraLife => "extra_life",
            Self::Shop => "shop",
            Self::TournamentEntry => "tournament_entry",
        }
    }

    /// Whether it is a sink.
    pub(super) fn is_spent(self) -> bool {
        self >= Self::Booster
    }
}

/// How an attempt at a level ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LevelResult {
    Win,
    Loss,
    Quit,
}

impl LevelResult {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Win => "win",
            Self::Loss => "loss",
            Self::Quit => "quit",
        }
    }
}

/// Steps of the tutorial, in order.
pub(super) const TUTORIAL_STEPS: [&str; 6] =
    ["welcome", "first_move", "combine_runes", "use_booster", "open_chest", "visit_village"];

/// Number of levels; the last one can be played again and again.
pub(super) const LAST_LEVEL: u32 = 400;

/// Levels in a chapter.
pub(super) const LEVELS_PER_CHAPTER: u32 = 20;

/// Name of a level's difficulty, and what it takes off the chance to win.
pub(super) const fn difficulty(level: u32) -> (&'static str, f64) {
    if level <= 5 {
        ("easy", -0.25)
    } else if level.is_multiple_of(LEVELS_PER_CHAPTER) {
        ("boss", 0.34)
    } else if level.is_multiple_of(5) {
        ("hard", 0.22)
    } else if level % 5 == 1 {
        ("easy", -0.08)
    } else {
        ("normal", 0.08)
    }
}

/// What an achievement counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feat {
    /// Sessions played.
    Sessions,
    /// Levels won.
    LevelWins,
    /// Matches won.
    MatchWins,
    /// Purchases made.
    Purchases,
}

/// An achievement, unlocked when the count is reached.
pub(super) struct Achievement {
    pub(super) feat: Feat,
    pub(super) count: u32,
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) tier: &'static str,
    pub(super) points: i64,
}

/// All achievements.
pub(super) const ACHIEVEMENTS: [Achievement; 13] = [
    achievement(Feat::LevelWins, 1, "first_light", "First Light", "bronze", 5),
    achievement(Feat::LevelWins, 10, "wanderer", "Wanderer", "bronze", 10),
    achievement(Feat::LevelWins, 50, "pathfinder", "Pathfinder", "silver", 25),
    achievement(Feat::LevelWins, 150, "lake_keeper", "Keeper of the Lake", "gold", 50),
    achievement(Feat::MatchWins, 1, "duelist", "Duelist", "bronze", 5),
    achievement(Feat::MatchWins, 10, "gladiator", "Gladiator", "silver", 20),
    achievement(Feat::MatchWins, 50, "champion", "Champion", "gold", 60),
    achievement(Feat::Sessions, 5, "regular", "Regular", "bronze", 5),
    achievement(Feat::Sessions, 25, "devoted", "Devoted", "silver", 20),
    achievement(Feat::Sessions, 100, "at_home", "At Home", "gold", 50),
    achievement(Feat::Purchases, 1, "patron", "Patron", "bronze", 10),
    achievement(Feat::Purchases, 5, "benefactor", "Benefactor", "silver", 25),
    achievement(Feat::Purchases, 20, "treasurer", "Treasurer", "gold", 75),
];

const fn achievement(
    feat: Feat,
    count: u32,
    id: &'static str,
    name: &'static str,
    tier: &'static str,
    points: i64,
) -> Achievement {
    Achievement { feat, count, id, name, tier, points }
}

/// An experiment; players are spread evenly over the variants.
pub(super) struct Experiment {
    pub(super) id: &'static str,
    /// First day of the simulation on which players are exposed.
    pub(super) from_day: u32,
    pub(super) variants: &'static [&'static str],
}

/// All experiments; others refer to them by index.
pub(super) const EXPERIMENTS: [Experiment; 3] = [
    Experiment { id: "tutorial_length", from_day: 0, variants: &["control", "short"] },
    Experiment { id: "starter_offer", from_day: 0, variants: &["control", "discount"] },
    Experiment { id: "map_redesign", from_day: 7, variants: &["control", "scroll", "globe"] },
];

/// Index of the experiment on the length of the tutorial.
pub(super) const TUTORIAL_LENGTH: usize = 0;
/// Index of the experiment on offers in the shop.
pub(super) const STARTER_OFFER: usize = 1;
/// Index of the experiment on the map of levels.
pub(super) const MAP_REDESIGN: usize = 2;

/// Advertising networks, and what they pay in relation to each other.
pub(super) const AD_NETWORKS: [(&str, f64); 4] =
    [("admob", 1.0), ("applovin", 1.15), ("unity", 0.9), ("ironsource", 0.8)];

/// Channels that players come from, with the campaign for the paid ones.
pub(super) const CHANNELS: [(&str, Option<&str>); 8] = [
    ("organic", None),
    ("organic", None),
    ("store_featured", None),
    ("referral", None),
    ("paid_social", Some("winter_otters_eu")),
    ("paid_social", Some("lookalike_3pct")),
    ("paid_search", Some("brand_exact")),
    ("ad_network", Some("playable_v4")),
];

/// Errors of the client: code, message, screen.
pub(super) const ERRORS: [(&str, &str, &str); 5] = [
    ("asset_missing", "texture \\\"ui/banner\\\" not found", "home"),
    ("net_timeout", "no answer from api within 10000 ms", "shop"),
    ("out_of_memory", "allocation of 64 MiB failed", "level"),
    ("null_reference", "BoardView.Update\\n\\tat Board.Tick()", "level"),
    ("render_lost", "graphics context lost", "match"),
];

/// First halves of display names.
pub(super) const NAME_BEGINNINGS: [&str; 12] = [
    "Swift", "Ember", "Lucky", "Silent", "Brave", "Misty", "Golden", "Cosmic", "Tiny", "Frosty",
    "Wild", "Clever",
];

/// Second halves of display names.
pub(super) const NAME_ENDINGS: [&str; 12] = [
    "Otter", "Fox", "Raven", "Knight", "Panda", "Comet", "Badger", "Wizard", "Heron", "Lynx",
    "Pixel", "Turtle",
];

/// Names that a reader of JSON must take care with.
pub(super) const UNUSUAL_NAMES: [&str; 12] = [
    "Zoë",
    "J\\u00fcrgen",
    "さくら",
    "김민준",
    "Łukasz",
    "Ömer",
    "O\\u0027Neil",
    "The \\\"Duke\\\"",
    "back\\\\slash",
    "a\\/b",
    "🦊 fox",
    "\\ud83d\\ude80 rocket",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_valid_inside_json_strings() {
        let names = UNUSUAL_NAMES.iter().chain(&NAME_BEGINNINGS).chain(&NAME_ENDINGS).copied();
        let messages = ERRORS.iter().map(|error| error.1);
        let shown = OFFERS.iter().map(|offer| offer.name).chain(ITEMS.iter().map(|item| item.name));
        for text in names.chain(messages).chain(shown) {
            let parsed: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert!(parsed.chars().count() <= 40, "{text}");
        }
    }

    #[test]
    fn currencies_and_reasons_stand_in_order_of_direction_and_name() {
        assert!(Currency::ALL.map(Currency::name).is_sorted());
        let order = FlowReason::ALL.map(|reason| (reason.is_spent(), reason.name()));
        assert!(order.is_sorted());
        assert!(
            FlowReason::ALL.iter().enumerate().all(|(index, reason)| *reason as usize == index)
        );
    }

    #[test]
    fn platforms_are_found_by_name() {
        assert_eq!(platform_index("web"), Some(2));
        assert_eq!(platform_index("amiga"), None);
    }
}

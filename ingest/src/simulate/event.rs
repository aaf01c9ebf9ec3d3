//! The event types of the bundled game.

/// An event type; its number is its place in [`EventType::NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum EventType {
    PlayerRegistered,
    SessionStart,
    SessionEnd,
    TutorialStep,
    LevelStart,
    LevelEnd,
    MatchEnd,
    CurrencyEarned,
    CurrencySpent,
    ItemAcquired,
    Purchase,
    AdImpression,
    AchievementUnlocked,
    SocialAction,
    ExperimentExposure,
    ClientError,
}

impl EventType {
    /// Number of event types.
    pub(super) const COUNT: usize = 16;

    /// Names of the event types in JSON.
    pub(super) const NAMES: [&'static str; Self::COUNT] = [
        "player_registered",
        "session_start",
        "session_end",
        "tutorial_step",
        "level_start",
        "level_end",
        "match_end",
        "currency_earned",
        "currency_spent",
        "item_acquired",
        "purchase",
        "ad_impression",
        "achievement_unlocked",
        "social_action",
        "experiment_exposure",
        "client_error",
    ];

    /// Name of the event type in JSON.
    pub(super) const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

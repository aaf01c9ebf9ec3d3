//! The settings of the API: who may ask, and how much.

use std::time::Duration;

use super::{SettingKind, SettingSpec};
use crate::settings::units::{KIB, MIB};

pub(super) const SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        name: "api.keys",
        kind: SettingKind::Choice { words: &["auto", "required"] },
        default: "auto",
        help: "Whether callers need a key: `auto` wants one unless only this machine can call",
        example: "required",
    },
    SettingSpec {
        name: "api.rate_limit",
        kind: SettingKind::Count { least: 0, most: 10_000_000 },
        default: "1000",
        help: "Most requests per second with one key that has no limit of its own; 0 stands for no \
               limit",
        example: "200",
    },
    SettingSpec {
        name: "api.cors_origins",
        kind: SettingKind::Text,
        default: "",
        help: "Web pages of other hosts that may call, such as https://example.org, separated by \
               commas; empty for none",
        example: "https://dashboard.example.org",
    },
    SettingSpec {
        name: "api.request_timeout",
        kind: SettingKind::Duration {
            least: Duration::from_millis(100),
            most: Duration::from_secs(24 * 3600),
        },
        default: "60s",
        help: "Longest wait until an answer begins; what it is computed for goes on, and is cached",
        example: "5m",
    },
    SettingSpec {
        name: "api.body_limit",
        kind: SettingKind::Bytes { least: KIB, most: 64 * MIB },
        default: "1MiB",
        help: "Largest body of a request that is not events",
        example: "1MiB",
    },
    SettingSpec {
        name: "api.max_connections",
        kind: SettingKind::Count { least: 1, most: 1_000_000 },
        default: "4096",
        help: "Most connections at a time; others wait until one ends",
        example: "20000",
    },
    SettingSpec {
        name: "api.max_connections_per_address",
        kind: SettingKind::Count { least: 0, most: 1_000_000 },
        default: "0",
        help: "Most connections of one address, or of one /64 network of IPv6; more are closed. 0 stands \
               for half of api.max_connections. This machine's own have no such limit; raise it where a \
               proxy on another machine stands in front",
        example: "4096",
    },
    SettingSpec {
        name: "api.max_computations",
        kind: SettingKind::Count { least: 0, most: 10_000 },
        default: "0",
        help: "Most answers that are computed at a time; others wait for their turn. 0 stands for \
               four for each thread",
        example: "16",
    },
];

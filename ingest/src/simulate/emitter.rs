//! From a thing that a player did to a line on its way, counted.

use super::catalog::{GAME, PLATFORMS};
use super::event::EventType;
use super::faults::FaultInjector;
use super::personas::Personas;
use super::player::{Player, PlayerId};
use super::timeline::Timeline;
use super::truth::{Cut, Detail, Tally};
use super::writer::{DateText, Properties, write_event_id, write_hex, write_integer};

/// Releases of the client come this many days apart.
const DAYS_PER_RELEASE: u32 = 9;

/// Whether an event carries the identifier of the play session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Sent by the client, in its session.
    Client,
    /// Sent by a server that knows of no session.
    Server,
}

/// Builds lines, hands them to the time line, and counts them.
#[derive(Debug)]
pub(super) struct Emitter {
    /// The members of the next event's `properties`.
    pub(super) properties: Properties,
    pub(super) dates: DateText,
    pub(super) timeline: Timeline,
    tally: Option<Tally>,
    faults: FaultInjector,
    /// Events lie in these bounds: epoch milliseconds, the end not included.
    start_ms: i64,
    end_ms: i64,
    sender: Sender,
    line: Vec<u8>,
}

/// The part of the envelope that a session's events share.
#[derive(Debug, Default)]
struct Sender {
    player: u64,
    cut: Cut,
    session: u32,
    release: u32,
    country: Option<[u8; 2]>,
    /// `"player_id":…` and so on, with and without the session.
    client_fields: Vec<u8>,
    server_fields: Vec<u8>,
}

/// Fields that an unusual event leaves out, or gives as null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    Nothing,
    Platform,
    Country,
    GameAndVersion,
}

/// Something valid that most senders never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oddity {
    None,
    EpochMilliseconds,
    PropertiesFirst,
    UnknownProperty,
    UnknownField,
    Absent(Absent),
}

impl Oddity {
    /// From a number below 1000.
    fn from_roll(roll: u32) -> Self {
        match roll {
            0..10 => Self::EpochMilliseconds,
            10..18 => Self::PropertiesFirst,
            18..23 => Self::UnknownProperty,
            23..25 => Self::UnknownField,
            25..27 => Self::Absent(Absent::Platform),
            27 => Self::Absent(Absent::Country),
            28..30 => Self::Absent(Absent::GameAndVersion),
            _ => Self::None,
        }
    }
}

impl Emitter {
    pub(super) fn new(
        timeline: Timeline,
        tally: Option<Tally>,
        faults: FaultInjector,
        bounds: std::ops::Range<i64>,
    ) -> Self {
        Self {
            properties: Properties::default(),
            dates: DateText::new(),
            timeline,
            tally,
            faults,
            start_ms: bounds.start,
            end_ms: bounds.end,
            sender: Sender::default(),
            line: Vec::with_capacity(1_024),
        }
    }

    /// End of the simulated time, epoch milliseconds: what happens then or later is not emitted.
    pub(super) fn end_ms(&self) -> i64 {
        self.end_ms
    }

    /// Makes room for one more player.
    pub(super) fn add_player(&mut self) {
        if let Some(tally) = &mut self.tally {
            tally.add_player();
        }
    }

    /// Sets what the events that follow have in common: a new session of the player, on one of
    /// their platforms. `day` counts from the first simulated day.
    pub(super) fn open_session(
        &mut self,
        player: &Player,
        platform: u8,
        personas: &Personas,
        day: u32,
    ) {
        self.close_session();
        let unknown = personas.countries.len();
        let country = player.country.map(usize::from);
        let code = country
            .and_then(|index| personas.countries.get(index)?.code.as_bytes().try_into().ok());
        self.sender.player = player.id.0;
        self.sender.cut = Cut { platform, country: country.unwrap_or(unknown) as u8 };
        self.sender.session = player.sessions;
        self.sender.release = day.saturating_sub(player.update_lag) / DAYS_PER_RELEASE;
        self.sender.country = code;
        let mut fields = std::mem::take(&mut self.sender.client_fields);
        self.sender.write(&mut fields, Origin::Client, Absent::Nothing);
        self.sender.client_fields = fields;
        let mut fields = std::mem::take(&mut self.sender.server_fields);
        self.sender.write(&mut fields, Origin::Server, Absent::Nothing);
        self.sender.server_fields = fields;
    }

    /// Ends the open session, if there is one.
    pub(super) fn close_session(&mut self) {
        if let Some(tally) = &mut self.tally {
            tally.close_session();
        }
    }

    /// Ends the days before this one, counted from the first simulated day: nothing that is emitted
    /// later happens on them, even by a clock that is wrong.
    pub(super) fn close_days(&mut self, before: u32) {
        if let Some(tally) = &mut self.tally {
            tally.close_days(before);
        }
    }

    /// Number of events so far that land; 0 if nothing is counted.
    pub(super) fn landed(&self) -> u64 {
        self.tally.as_ref().map_or(0, Tally::landed)
    }

    /// The counters, if there are any.
    pub(super) fn into_tally(self) -> Option<Tally> {
        self.tally
    }

    /// Emits an event with the properties written since the last one, at the player's time.
    #[inline]
    pub(super) fn emit(&mut self, player: &mut Player, event: EventType, origin: Origin) {
        self.emit_detailed(player, event, origin, Detail::None);
    }

    /// Emits an event that counts for more than its having happened.
    pub(super) fn emit_detailed(
        &mut self,
        player: &mut Player,
        event: EventType,
        origin: Origin,
        detail: Detail,
    ) {
        let happened_ms = player.next_event_ms();
        if happened_ms >= self.end_ms {
            self.properties.clear();
            return;
        }
        let event_ms = self.event_time(happened_ms, player.clock_error_ms);
        let oddity = Oddity::from_roll(player.random.below(1_000));
        let event_id = [player.random.bits(), player.random.bits()];
        self.write_line(event, event_ms, event_id, origin, oddity);
        self.properties.clear();
        if let Some(tally) = &mut self.tally {
            let mut cut = self.sender.cut;
            match oddity {
                Oddity::Absent(Absent::Platform) => cut.platform = PLATFORMS.len() as u8,
                Oddity::Absent(Absent::Country) => cut.country = tally.unknown_country(),
                _ => {}
            }
            tally.event(player.index, event, event_ms, cut, detail);
            if origin == Origin::Client {
                let is_crash = matches!(detail, Detail::ClientError { fatal: true });
                tally.session_event(event_ms, cut, is_crash);
            }
        }
        self.send(happened_ms, player.id);
    }

    /// The time that the event will carry.
    fn event_time(&mut self, happened_ms: i64, clock_error_ms: i64) -> i64 {
        if !self.faults.skews() {
            return happened_ms;
        }
        let wrong_ms = happened_ms + clock_error_ms;
        // A wrong clock does not lead out of the simulated days.
        if (self.start_ms..self.end_ms).contains(&wrong_ms) { wrong_ms } else { happened_ms }
    }

    /// Sends the line off, with what may go wrong on the way.
    fn send(&mut self, happened_ms: i64, player: PlayerId) {
        let arrival_ms = happened_ms + self.faults.delay_ms();
        self.timeline.push(arrival_ms, &self.line);
        if let Some(later_ms) = self.faults.repetition_ms() {
            self.timeline.push(arrival_ms + later_ms, &self.line);
            if let Some(tally) = &mut self.tally {
                tally.duplicate();
            }
        }
        if let Some(line) = self.faults.malformed_line(player, happened_ms, &mut self.dates) {
            self.timeline.push(happened_ms, line);
            if let Some(tally) = &mut self.tally {
                tally.quarantined();
            }
        }
    }

    fn write_line(
        &mut self,
        event: EventType,
        event_ms: i64,
        event_id: [u64; 2],
        origin: Origin,
        oddity: Oddity,
    ) {
        let line = &mut self.line;
        line.clear();
        line.push(b'{');
        if oddity == Oddity::PropertiesFirst {
            write_properties(line, self.properties.as_bytes(), b"");
            line.push(b',');
        }
        line.extend_from_slice(b"\"event_id\":\"");
        write_event_id(line, event_ms, event_id);
        line.extend_from_slice(b"\",\"event_type\":\"");
        line.extend_from_slice(event.name().as_bytes());
        if oddity == Oddity::EpochMilliseconds {
            line.extend_from_slice(b"\",\"event_time\":");
            write_integer(line, event_ms);
            line.push(b',');
        } else {
            line.extend_from_slice(b"\",\"event_time\":\"");
            self.dates.write_timestamp(line, event_ms);
            line.extend_from_slice(b"\",");
        }
        match (oddity, origin) {
            (Oddity::Absent(absent), _) => {
                // Rare enough to be rendered anew.
                let mut fields = Vec::new();
                self.sender.write(&mut fields, origin, absent);
                line.extend_from_slice(&fields);
            }
            (_, Origin::Client) => line.extend_from_slice(&self.sender.client_fields),
            (_, Origin::Server) => line.extend_from_slice(&self.sender.server_fields),
        }
        match oddity {
            Oddity::PropertiesFirst => {}
            Oddity::UnknownProperty => {
                line.push(b',');
                let unknown =
                    b"\"ab_bucket\":17,\"debug\":{\"build\":\"nightly\",\"tags\":[1,null]}";
                write_properties(line, self.properties.as_bytes(), unknown);
            }
            Oddity::UnknownField => {
                line.extend_from_slice(b",\"sdk\":\"unity/7.2.0\",");
                write_properties(line, self.properties.as_bytes(), b"");
            }
            _ => {
                line.push(b',');
                write_properties(line, self.properties.as_bytes(), b"");
            }
        }
        line.extend_from_slice(b"}\n");
    }
}

impl Sender {
    /// Writes the envelope's fields from `player_id` on.
    fn write(&self, out: &mut Vec<u8>, origin: Origin, absent: Absent) {
        out.clear();
        out.extend_from_slice(b"\"player_id\":\"");
        out.extend_from_slice(PlayerId::PREFIX.as_bytes());
        write_hex(out, self.player);
        if origin == Origin::Client {
            out.extend_from_slice(b"\",\"session_id\":\"s");
            write_hex(out, self.player);
            out.push(b'-');
            write_integer(out, i64::from(self.session));
        }
        out.push(b'"');
        if absent != Absent::GameAndVersion {
            out.extend_from_slice(b",\"game\":\"");
            out.extend_from_slice(GAME.as_bytes());
            out.push(b'"');
        }
        if absent != Absent::Platform {
            out.extend_from_slice(b",\"platform\":\"");
            let platform = PLATFORMS[usize::from(self.cut.platform)].name;
            out.extend_from_slice(platform.as_bytes());
            out.push(b'"');
        }
        match (self.country, absent) {
            (_, Absent::Country) => out.extend_from_slice(b",\"country\":null"),
            (Some(code), _) => {
                out.extend_from_slice(b",\"country\":\"");
                out.extend_from_slice(&code);
                out.push(b'"');
            }
            (None, _) => {}
        }
        if absent != Absent::GameAndVersion {
            out.extend_from_slice(b",\"app_version\":\"2.");
            write_integer(out, i64::from(10 + self.release / 3));
            out.push(b'.');
            write_integer(out, i64::from(self.release % 3));
            out.push(b'"');
        }
    }
}

fn write_properties(line: &mut Vec<u8>, members: &[u8], more: &[u8]) {
    line.extend_from_slice(b"\"properties\":{");
    line.extend_from_slice(members);
    if !members.is_empty() && !more.is_empty() {
        line.push(b',');
    }
    line.extend_from_slice(more);
    line.push(b'}');
}

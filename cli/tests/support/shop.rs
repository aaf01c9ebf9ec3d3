//! A small project, and orders of single days of March 2026.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::sandbox::{Finished, Sandbox};

const FILES: &[(&str, &str)] = &[
    (
        "sql/events/order_placed.sql",
        "-- Somebody bought something.\n\
         CREATE TABLE order_placed (\n    item TEXT NOT NULL, -- What\n    store TEXT, -- Where\n    \
         amount INTEGER NOT NULL -- How many\n);\n",
    ),
    (
        "sql/events/item_listed.sql",
        "-- Something is for sale.\n\
         CREATE TABLE item_listed (\n    item TEXT NOT NULL, -- What\n    title TEXT -- Name\n);\n",
    ),
    (
        "sql/dimensions/dim_item.sql",
        "-- One row per item.\n--\n-- key: item\n-- combine: title = max\n\
         SELECT item, max(title) AS title FROM events.item_listed GROUP BY item\n",
    ),
    (
        "sql/facts/fact_order.sql",
        "-- One row per order.\n--\n-- load: append\n-- key: event_id\n-- partition: date\n\
         SELECT event_id, event_date AS date, item, amount FROM events.order_placed\n",
    ),
    (
        "sql/marts/mart_day.sql",
        "-- One row per day.\n--\n-- load: replace\n-- key: date\n-- partition: date\n\
         SELECT date, sum(amount) AS amount FROM star.fact_order GROUP BY date\n",
    ),
    (
        "sql/marts/mart_three_days.sql",
        "-- One row per day, with the two days before it.\n--\n-- load: replace\n-- key: date\n\
         -- partition: date\n-- lookback: 2 days\n\
         SELECT date, sum(amount) OVER (ORDER BY date RANGE BETWEEN INTERVAL '2 days' PRECEDING \
         AND CURRENT ROW) AS amount FROM star.mart_day\n",
    ),
];

/// An installation of the project.
pub(crate) struct Shop {
    pub(crate) sandbox: Sandbox,
    project: PathBuf,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::new();
        let project = sandbox.path("shop");
        let shop = Self { sandbox: sandbox.with_other_project(&project), project };
        for (file, sql) in FILES {
            shop.write(file, sql);
        }
        shop
    }

    /// One with an item and two orders on 1 March, each in a segment of its own, loaded.
    pub(crate) fn open() -> Self {
        let shop = Self::new();
        let item = event("i1", "item_listed", 1, &json!({ "item": "rune", "title": "Rune" }));
        shop.ingest("items.ndjson", &[item]);
        shop.ingest("orders.ndjson", &[order("o1", 1, 2), order("o2", 1, 3)]);
        shop.sandbox.etl();
        shop
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.project.join(file);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn edit(&self, file: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.project.join(file)).unwrap();
        assert!(text.contains(old), "{file} has no `{old}`");
        self.write(file, &text.replacen(old, new, 1));
    }

    /// Takes in lines, all of which are whole.
    pub(crate) fn ingest(&self, name: &str, lines: &[String]) {
        let file = self.sandbox.write(name, lines.concat());
        let report = self.sandbox.ingest(&[&file]);
        assert_eq!(report["totals"]["landed"], lines.len(), "{report}");
    }

    pub(crate) fn etl(&self, arguments: &[&str]) -> Finished {
        self.sandbox.succeed(&[&["etl"], arguments].concat())
    }

    pub(crate) fn etl_fails(&self, arguments: &[&str]) -> Finished {
        self.sandbox.fail(&[&["etl"], arguments].concat())
    }
}

/// An event at noon of a day of March 2026.
pub(crate) fn event(id: &str, event_type: &str, day: u32, properties: &Value) -> String {
    let line = json!({
        "event_id": id,
        "event_type": event_type,
        "event_time": format!("2026-03-{day:02}T12:00:00Z"),
        "player_id": "p1",
        "properties": properties,
    });
    format!("{line}\n")
}

/// An order.
pub(crate) fn order(id: &str, day: u32, amount: i64) -> String {
    let properties = json!({ "item": "rune", "store": "web", "amount": amount });
    event(id, "order_placed", day, &properties)
}

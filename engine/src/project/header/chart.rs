//! `chart:` of models and saved queries: how their rows are best looked at.
//!
//! ```sql
//! -- title: Daily figures
//! -- chart: line x=date y=dau,wau,mau
//! ```
//!
//! | kind | columns |
//! |---|---|
//! | `line`, `area`, `stacked`, `bar`, `scatter` | `x`, and one or more `y` |
//! | `funnel` | `x` (the steps) and one `y` |
//! | `heatmap` | `x`, one `y`, and `value` |
//! | `number` | one or more `y` |
//! | `table` | none |

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use serde::Serialize;

use super::comment_lines::{Fragment, Setting};
use super::values;
use crate::project::diagnostic::{Diagnostic, nearest};
use crate::project::source::{Located, SourceFile};

/// Figures of a chart that nobody has described: more of them are no longer told apart.
const INFERRED_MEASURES: usize = 5;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChartKind {
    /// A line per figure.
    Line,
    /// Bars side by side.
    Bar,
    /// Bars on top of each other.
    Stacked,
    /// Areas on top of each other.
    Area,
    /// Cells, coloured by a value.
    Heatmap,
    /// Steps that get narrower.
    Funnel,
    /// Rows and columns.
    Table,
    /// Points.
    Scatter,
    /// A few large numbers.
    Number,
}

impl ChartKind {
    const ALL: [Self; 9] = [
        Self::Line,
        Self::Bar,
        Self::Stacked,
        Self::Area,
        Self::Heatmap,
        Self::Funnel,
        Self::Table,
        Self::Scatter,
        Self::Number,
    ];

    /// Its name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Bar => "bar",
            Self::Stacked => "stacked",
            Self::Area => "area",
            Self::Heatmap => "heatmap",
            Self::Funnel => "funnel",
            Self::Table => "table",
            Self::Scatter => "scatter",
            Self::Number => "number",
        }
    }

    fn needs_x(self) -> bool {
        !matches!(self, Self::Table | Self::Number)
    }

    /// Most columns on the y axis.
    fn most_y(self) -> usize {
        match self {
            Self::Table => 0,
            Self::Heatmap | Self::Funnel => 1,
            _ => 20,
        }
    }
}

/// How rows are drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chart {
    /// What is drawn.
    pub kind: ChartKind,
    /// Column of the x axis.
    pub x: Option<String>,
    /// Columns of the y axis.
    pub y: Vec<String>,
    /// Column of the colour.
    pub value: Option<String>,
    /// Whether nobody has written it down: it follows from the columns.
    pub inferred: bool,
}

impl Chart {
    /// The columns that it names.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.x.iter().chain(&self.y).chain(&self.value).map(String::as_str)
    }

    /// A chart that suits these columns: lines over the first day of the key, else bars over its
    /// first text, else a table.
    pub fn inferred(columns: &[(&str, &DataType)], key: &[String]) -> Self {
        let in_key = |name: &str| key.is_empty() || key.iter().any(|column| column == name);
        let axis = |wanted: fn(&DataType) -> bool| {
            let found = columns.iter().find(|(name, kind)| in_key(name) && wanted(kind));
            found.map(|(name, _)| (*name).to_owned())
        };
        let measures: Vec<String> = columns
            .iter()
            .filter(|(name, kind)| is_number(kind) && !key.iter().any(|column| column == name))
            .map(|(name, _)| (*name).to_owned())
            .take(INFERRED_MEASURES)
            .collect();
        let day = axis(|kind| matches!(kind, DataType::Date32));
        let text = || axis(|kind| matches!(kind, DataType::Utf8));
        let (kind, x) = match (measures.is_empty(), day) {
            (true, _) => (ChartKind::Table, None),
            (false, Some(day)) => (ChartKind::Line, Some(day)),
            (false, None) => match text() {
                Some(text) => (ChartKind::Bar, Some(text)),
                None => (ChartKind::Table, None),
            },
        };
        let y = if kind == ChartKind::Table { Vec::new() } else { measures };
        Self { kind, x, y, value: None, inferred: true }
    }
}

/// Whether values of this type can be drawn.
pub fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// Reads the value of `chart:`.
pub(super) fn read(
    file: &SourceFile,
    setting: &Setting<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Located<Chart>> {
    let words = words(setting);
    let first = words.first()?;
    let Some(kind) = ChartKind::ALL.into_iter().find(|kind| kind.name() == first.text) else {
        let names = ChartKind::ALL.map(ChartKind::name);
        let message = format!("`{}` is not a kind of chart", first.text);
        diagnostics.push(
            file.error_for(&first.locate(()), message)
                .with_hint(format!("kinds are {}", names.join(", ")))
                .with_nearest(nearest(first.text, names)),
        );
        return None;
    };
    let mut chart = Chart { kind, x: None, y: Vec::new(), value: None, inferred: false };
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut words = words[1..].iter().copied();
    while let Some(word) = words.next() {
        let Some(equals) = word.text.find('=') else {
            let message = format!("`{}` is not of the form `name=column`", word.text);
            let hint = "write such as `chart: line x=date y=dau,wau`";
            diagnostics.push(file.error_for(&word.locate(()), message).with_hint(hint));
            return None;
        };
        let name = word.part(0, equals);
        if !seen.insert(name.text) {
            let message = format!("`{}` is there twice", name.text);
            diagnostics.push(file.error_for(&name.locate(()), message));
            return None;
        }
        let mut list = word.part(equals + 1, word.text.len());
        let mut named = columns(file, &list, diagnostics)?;
        while list.text.ends_with(',') {
            let Some(more) = words.next() else { break };
            list = more;
            named.extend(columns(file, &list, diagnostics)?);
        }
        match name.text {
            "x" => chart.x = Some(single(file, &name, named, diagnostics)?),
            "value" => chart.value = Some(single(file, &name, named, diagnostics)?),
            "y" => chart.y = named,
            other => {
                let message = format!("a chart has no `{other}`");
                let hint = "write `x=…`, `y=…` or `value=…` with names of columns";
                diagnostics.push(file.error_for(&name.locate(()), message).with_hint(hint));
                return None;
            }
        }
    }
    let located = first.locate(());
    if let Some(mistake) = mistake(&chart) {
        diagnostics.push(file.error_for(&located, mistake));
        return None;
    }
    Some(located.with(chart))
}

/// What the chart lacks or has too much of.
fn mistake(chart: &Chart) -> Option<String> {
    let name = chart.kind.name();
    if chart.kind.needs_x() && chart.x.is_none() {
        return Some(format!("a {name} chart needs `x=column`"));
    }
    if !chart.kind.needs_x() && chart.x.is_some() {
        return Some(format!("a {name} has no `x`"));
    }
    let most = chart.kind.most_y();
    if most > 0 && chart.y.is_empty() {
        return Some(format!("a {name} chart needs `y=column`"));
    }
    if chart.y.len() > most {
        return Some(match most {
            0 => format!("a {name} has no `y`"),
            1 => format!("a {name} has one column for `y`"),
            _ => format!("a {name} chart has at most {most} columns for `y`"),
        });
    }
    match (chart.kind == ChartKind::Heatmap, &chart.value) {
        (true, None) => Some("a heatmap needs `value=column`".to_owned()),
        (false, Some(_)) => Some(format!("a {name} has no `value`")),
        _ => None,
    }
}

/// The words of the value. A list of columns may have space behind its commas, and go on in the next
/// line.
fn words<'a>(setting: &Setting<'a>) -> Vec<Fragment<'a>> {
    let mut words = Vec::new();
    for line in &setting.value {
        let mut start = 0;
        while start < line.text.len() {
            let rest = &line.text[start..];
            let skipped = rest.len() - rest.trim_start().len();
            start += skipped;
            if start >= line.text.len() {
                break;
            }
            let end = line.text[start..].find(char::is_whitespace);
            let end = end.map_or(line.text.len(), |end| start + end);
            words.push(line.part(start, end));
            start = end;
        }
    }
    words
}

/// The columns of a list such as `dau,wau`, which goes on in the next word after a last comma.
fn columns(
    file: &SourceFile,
    list: &Fragment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut start = 0;
    while start < list.text.len() {
        let end = list.text[start..].find(',').map_or(list.text.len(), |comma| start + comma);
        // The next word belongs to the list if its last comma has nothing behind it.
        let item = list.part(start, end);
        names.push(values::column_name(file, &item, diagnostics)?.value);
        start = end + 1;
    }
    Some(names)
}

fn single(
    file: &SourceFile,
    name: &Fragment<'_>,
    mut columns: Vec<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    if columns.len() > 1 {
        let message = format!("`{}` is one column", name.text);
        diagnostics.push(file.error_for(&name.locate(()), message));
        return None;
    }
    columns.pop()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::header::parse_query_header;

    fn chart(line: &str) -> Result<Chart, String> {
        let text = format!("-- title: T\n-- {line}\nSELECT 1");
        let (header, diagnostics) = parse_query_header(&SourceFile::new("q.sql", text));
        match diagnostics.first() {
            Some(diagnostic) => Err(diagnostic.message.clone()),
            None => Ok(header.chart.unwrap().value),
        }
    }

    #[test]
    fn charts_are_read() {
        let line = chart("chart: line x=date y=dau,wau").unwrap();
        assert_eq!((line.kind, line.x.as_deref()), (ChartKind::Line, Some("date")));
        assert_eq!(line.y, ["dau", "wau"]);
        let heatmap = chart("chart: heatmap x=day_n y=cohort_date value=retention").unwrap();
        assert_eq!(heatmap.value.as_deref(), Some("retention"));
        assert_eq!(chart("chart: table").unwrap().columns().count(), 0);
        assert_eq!(chart("chart: number y=dau").unwrap().y, ["dau"]);
        let spaced = chart("chart: area x=date y=a, b,\n-- c").unwrap();
        assert_eq!(spaced.y, ["a", "b", "c"]);
    }

    #[test]
    fn mistakes_in_charts_are_told() {
        for (line, told) in [
            ("chart: lines x=a y=b", "`lines` is not a kind of chart"),
            ("chart: line y=b", "needs `x=column`"),
            ("chart: line x=a", "needs `y=column`"),
            ("chart: line x=a,b y=c", "`x` is one column"),
            ("chart: line x=a y=B", "`B` is not the name of a column"),
            ("chart: line x=a y=b z=c", "a chart has no `z`"),
            ("chart: line x=a x=b y=c", "`x` is there twice"),
            ("chart: line date", "is not of the form"),
            ("chart: heatmap x=a y=b", "needs `value=column`"),
            ("chart: table x=a", "a table has no `x`"),
            ("chart: funnel x=a y=b,c", "one column"),
            ("chart: bar x=a y=b value=c", "has no `value`"),
        ] {
            let message = chart(line).unwrap_err();
            assert!(message.contains(told), "{line}: {message}");
        }
    }

    #[test]
    fn a_chart_follows_from_the_columns() {
        let (day, text, number) = (DataType::Date32, DataType::Utf8, DataType::Int64);
        let key = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let columns = [("date", &day), ("country", &text), ("dau", &number)];
        let line = Chart::inferred(&columns, &key(&["date", "country"]));
        assert_eq!((line.kind, line.x.as_deref()), (ChartKind::Line, Some("date")));
        assert_eq!((line.y.as_slice(), line.inferred), (&["dau".to_owned()][..], true));
        let bar = Chart::inferred(&columns[1..], &key(&["country"]));
        assert_eq!((bar.kind, bar.x.as_deref()), (ChartKind::Bar, Some("country")));
        let table = Chart::inferred(&columns[1..2], &key(&["country"]));
        assert_eq!((table.kind, table.x), (ChartKind::Table, None));
        // A number in the key is no figure.
        let table = Chart::inferred(&columns[2..], &key(&["dau"]));
        assert_eq!(table.kind, ChartKind::Table);
        // Without a key, any column may be the axis.
        assert_eq!(Chart::inferred(&columns, &[]).kind, ChartKind::Line);
    }
}

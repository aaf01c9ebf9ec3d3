use super::*;
use proptest::prelude::*;

fn at(file: &str, line: u64, column: u64, length: u64, source_line: &str) -> Diagnostic {
    Diagnostic {
        line,
        column,
        length,
        source_line: Some(source_line.to_owned()),
        ..Diagnostic::error(file, "it is wrong")
    }
}

/// The excerpt and caret lines of the plain rendering, without the gutter.
fn excerpt(diagnostic: &Diagnostic) -> (String, String) {
    let text = diagnostic.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let content = |line: &str| line.split_once(" | ").unwrap().1.to_owned();
    (content(lines[1]), content(lines[2]))
}

#[test]
fn renders_place_excerpt_caret_and_hint() {
    let file = "sql/facts/fact_session.sql";
    let diagnostic = Diagnostic {
        message: "unknown column `sesion_id` in events.session_start".to_owned(),
        ..at(file, 12, 9, 9, "    min(sesion_id) AS x,")
    }
    .with_hint("did you mean `session_id`?");
    let expected = "\
sql/facts/fact_session.sql:12:9: error: unknown column `sesion_id` in events.session_start
   12 |     min(sesion_id) AS x,
      |         ^^^^^^^^^
   hint: did you mean `session_id`?";
    assert_eq!(diagnostic.to_string(), expected);
}

#[test]
fn colours_are_optional() {
    let diagnostic = at("a.sql", 1, 1, 1, "x");
    assert!(!diagnostic.to_string().contains('\x1b'));
    assert!(diagnostic.display(Style::Ansi).to_string().contains("\x1b[1;31merror\x1b[0m"));
}

#[test]
fn tabs_and_wide_characters_do_not_shift_the_caret() {
    let (line, caret) = excerpt(&at("a.sql", 1, 3, 3, "\t\tbad"));
    assert_eq!((line.as_str(), caret.as_str()), ("        bad", "        ^^^"));
    let (line, caret) = excerpt(&at("a.sql", 1, 4, 2, "x\t\u{e9}ab"));
    assert_eq!((line.as_str(), caret.as_str()), ("x   \u{e9}ab", "     ^^"));
    // Each of the two ideographs takes two columns.
    let (_, caret) = excerpt(&at("a.sql", 1, 3, 1, "日本x"));
    assert_eq!(caret, "    ^");
    // A combining accent takes none.
    let (_, caret) = excerpt(&at("a.sql", 1, 3, 1, "e\u{301}x"));
    assert_eq!(caret, " ^");
}

#[test]
fn a_long_line_is_cut_around_the_caret() {
    let source_line = format!("{}bad{}", "x".repeat(5_000), "y".repeat(5_000));
    let (line, caret) = excerpt(&at("a.sql", 1, 5_001, 3, &source_line));
    assert!(line.chars().count() < 120, "{line}");
    let start = caret.find('^').unwrap();
    let under: String = line.chars().skip(start).take(3).collect();
    assert_eq!((under.as_str(), caret.trim()), ("bad", "^^^"));
    assert!(line.starts_with('…') && line.ends_with('…'));
}

#[test]
fn text_cannot_send_escape_sequences_to_the_terminal() {
    let diagnostic = Diagnostic {
        message: "unknown `\x1b[2J`".to_owned(),
        ..at("a.sql", 1, 1, 1, "\x1b[31m\u{202e}x")
    };
    let text = diagnostic.to_string();
    assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text:?}");
}

#[test]
fn a_collection_is_sorted_without_repetitions_and_counted() {
    let mut diagnostics = Diagnostics::new();
    diagnostics.extend([at("b.sql", 2, 1, 1, ""), at("a.sql", 9, 1, 1, "")]);
    diagnostics.push(at("a.sql", 3, 7, 1, ""));
    diagnostics.push(at("a.sql", 3, 7, 1, ""));
    diagnostics.extend([at("a.sql", 9, 1, 1, "")]);
    let places: Vec<(&str, u64)> =
        diagnostics.iter().map(|item| (item.file.as_str(), item.line)).collect();
    assert_eq!(places, [("a.sql", 3), ("a.sql", 9), ("b.sql", 2)]);
    assert_eq!(diagnostics.summary(), "3 errors in 2 files");
    diagnostics.push(Diagnostic::warning("c.sql", "odd"));
    assert_eq!(diagnostics.summary(), "3 errors, 1 warning in 3 files");
    assert!(diagnostics.to_string().ends_with("\n\n3 errors, 1 warning in 3 files"));
    assert!(diagnostics.into_result(()).is_err());
    assert!(Diagnostics::from_iter([Diagnostic::warning("c.sql", "odd")]).into_result(()).is_ok());
}

#[test]
fn the_nearest_name_is_found_and_strangers_are_not() {
    let names = ["session_id", "player_id", "price_usd", "quantity"];
    assert_eq!(nearest("sesion_id", names), Some("session_id"));
    assert_eq!(nearest("SESSION_ID", names), Some("session_id"));
    assert_eq!(nearest("price", names), Some("price_usd"));
    assert_eq!(nearest("usd", names), Some("price_usd"));
    // Two names end with it.
    assert_eq!(nearest("id", names), None);
    assert_eq!(nearest("color", names), None);
    assert_eq!(nearest("", names), None);
    assert_eq!(nearest("x", ["y"]), None);
}

proptest! {
    #[test]
    fn any_place_in_any_line_can_be_rendered(
        source_line in "\\PC{0,200}|[\\x00-\\x7f]{0,300}|[a\\t日\u{301}]{0,300}",
        column in 0..400_u64,
        length in prop_oneof![0..400_u64, Just(u64::MAX)],
    ) {
        let rendered = at("a.sql", 1, column, length, &source_line).to_string();
        prop_assert_eq!(rendered.lines().count(), 3);
        let caret = rendered.lines().last().unwrap();
        prop_assert!(caret.contains('^'));
        prop_assert!(caret.chars().count() < 120);
    }
}

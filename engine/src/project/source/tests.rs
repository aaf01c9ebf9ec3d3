use super::*;
use proptest::prelude::*;

#[test]
fn places_and_offsets_are_counted_in_characters() {
    let file = SourceFile::new("sql/events/a.sql", "aé日x\r\nsecond\n");
    assert_eq!(file.stem(), "a");
    assert_eq!(file.line_count(), 3);
    assert_eq!(file.line_text(1), Some("aé日x"));
    assert_eq!(file.line_text(2), Some("second"));
    assert_eq!(file.line_text(3), Some(""));
    assert_eq!((file.line_text(0), file.line_text(4)), (None, None));
    let offset = file.text().find('x').unwrap();
    assert_eq!(file.position(offset), Position { line: 1, column: 4 });
    assert_eq!(file.offset(Position { line: 1, column: 4 }), Some(offset));
    assert_eq!(file.offset(Position { line: 1, column: 5 }), Some(offset + 1));
    assert_eq!(file.offset(Position { line: 1, column: 6 }), None);
    assert_eq!(file.offset(Position { line: 0, column: 1 }), None);
    assert_eq!(file.position(usize::MAX), Position { line: 3, column: 1 });
}

#[test]
fn a_byte_order_mark_is_dropped() {
    assert_eq!(SourceFile::new("a.sql", "\u{feff}SELECT 1").text(), "SELECT 1");
}

#[test]
fn identifiers_are_recognised_and_suggested() {
    for name in ["a", "_x1", "level_end"] {
        assert!(is_identifier(name), "{name}");
    }
    for name in ["", "1a", "A", "a-b", "é", "a b"] {
        assert!(!is_identifier(name), "{name}");
    }
    assert_eq!(suggested_identifier("levelId").as_deref(), Some("level_id"));
    assert_eq!(suggested_identifier("Level-ID").as_deref(), Some("level_id"));
    assert_eq!(suggested_identifier("日本"), None);
    assert_eq!(suggested_identifier("9lives"), None);
}

#[test]
fn a_project_is_read_sorted_and_without_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("sql/events");
    fs::create_dir_all(&events).unwrap();
    for name in ["b.sql", "a.sql", ".hidden.sql", "a.sql~", "#a.sql#", ".#a.sql", "notes.md"] {
        fs::write(events.join(name), "-- text").unwrap();
    }
    let (sources, diagnostics) = read_sources(folder.path());
    assert!(diagnostics.is_empty(), "{diagnostics}");
    let paths: Vec<&str> = sources.events.iter().map(SourceFile::path).collect();
    assert_eq!(paths, ["sql/events/a.sql", "sql/events/b.sql"]);
    assert_eq!(sources.folder(SourceFolder::Events).len(), 2);
    assert!(sources.marts.is_empty());
}

#[test]
fn files_that_cannot_be_used_are_reported_together() {
    let folder = tempfile::tempdir().unwrap();
    let marts = folder.path().join("sql/marts");
    fs::create_dir_all(marts.join("folder.sql")).unwrap();
    fs::write(marts.join("binary.sql"), b"SELECT\n'\xff'").unwrap();
    fs::write(marts.join("large.sql"), vec![b' '; MAX_FILE_BYTES as usize + 1]).unwrap();
    fs::write(marts.join("LevelEnd.sql"), "SELECT 1").unwrap();
    fs::write(marts.join(format!("{}.sql", "a".repeat(64))), "SELECT 1").unwrap();
    fs::write(marts.join("good.sql"), vec![b' '; MAX_FILE_BYTES as usize]).unwrap();
    let (sources, diagnostics) = read_sources(folder.path());
    assert_eq!(sources.marts.len(), 1);
    assert_eq!(diagnostics.len(), 5, "{diagnostics}");
    let text = diagnostics.to_string();
    assert!(text.contains("invalid byte at offset 8, in line 2"), "{text}");
    assert!(text.contains("larger than 1024 KiB"), "{text}");
    assert!(text.contains("rename it to `level_end.sql`"), "{text}");
    assert!(text.contains("longer than 63 bytes"), "{text}");
    assert!(text.contains("not a regular file"), "{text}");
}

proptest! {
    #[test]
    fn a_place_leads_back_to_its_offset(text in "[a\\n\\r日é]{0,60}", at in 0..200_usize) {
        let file = SourceFile::new("a.sql", text);
        let position = file.position(at);
        let mut offset = at.min(file.text().len());
        while !file.text().is_char_boundary(offset) {
            offset -= 1;
        }
        let line_end = file.line_text(position.line).unwrap().chars().count() as u64;
        // The line's end itself (`\r\n`) is no place in the line.
        if position.column <= line_end + 1 {
            prop_assert_eq!(file.offset(position), Some(offset));
        }
    }
}

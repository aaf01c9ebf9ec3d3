//! Entry points for fuzzing: any bytes are read without a panic, and every diagnostic's place is
//! inside the text.

use super::contract_parser::parse_contract;
use super::diagnostic::Diagnostic;
use super::header::{parse_check_header, parse_model_header, parse_query_header};
use super::source::{Position, SourceFile};

/// Parses the bytes as a contract.
pub fn fuzz_contract(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let file = SourceFile::new("sql/events/fuzzed.sql", text);
    match parse_contract(&file) {
        Ok(contract) => assert_eq!(contract.event_type, "fuzzed"),
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty(), "a refused contract has a diagnostic");
            check_places(&file, &diagnostics);
        }
    }
}

/// Reads the header of the bytes as one of a model, a query and a check.
pub fn fuzz_header(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let file = SourceFile::new("sql/facts/fuzzed.sql", text);
    check_places(&file, &parse_model_header(&file).1);
    check_places(&file, &parse_query_header(&file).1);
    check_places(&file, &parse_check_header(&file).1);
}

fn check_places(file: &SourceFile, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        assert!(!diagnostic.to_string().is_empty());
        if diagnostic.line == 0 {
            continue;
        }
        let position = Position { line: diagnostic.line, column: diagnostic.column };
        let offset = file.offset(position);
        assert!(offset.is_some(), "{position:?} is not in the text: {diagnostic}");
        let end = Position { column: position.column + diagnostic.length, ..position };
        let fits = diagnostic.length <= 1 || file.offset(end).is_some();
        assert!(fits, "the mistake at {position:?} is longer than its line: {diagnostic}");
    }
}

//! Types of columns: names and synonyms, and what to write instead of types that JSON does not
//! have.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::nearest_hint;
use super::tokens::{self, Mistakes, TokenCursor};
use crate::project::contract::ColumnType;
use crate::project::diagnostic::Diagnostic;
use crate::project::source::SourceFile;

/// Most digits of a DECIMAL.
const MAX_PRECISION: u64 = 38;
/// Longest VARCHAR, in characters: PostgreSQL's limit.
const MAX_CHARS: u64 = 10_485_760;

/// Every name of a type, in capitals. `DOUBLE` may be followed by `PRECISION`, `CHARACTER` and
/// `CHAR` must be by `VARYING`.
const NAMES: &[&str] = &[
    "BIGINT",
    "BOOL",
    "BOOLEAN",
    "CHAR",
    "CHARACTER",
    "DATE",
    "DEC",
    "DECIMAL",
    "DOUBLE",
    "FLOAT",
    "FLOAT4",
    "FLOAT8",
    "INT",
    "INT2",
    "INT4",
    "INT8",
    "INTEGER",
    "JSON",
    "JSONB",
    "NUMERIC",
    "REAL",
    "SMALLINT",
    "STRING",
    "TEXT",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "VARCHAR",
];

/// Types of databases that events do not have, and what to write instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("ARRAY", "use JSON, which keeps any JSON value"),
    ("BIGSERIAL", "use BIGINT"),
    ("BINARY", "use TEXT, with the bytes in base64"),
    ("BIT", "use BOOLEAN or INTEGER"),
    ("BLOB", "use TEXT, with the bytes in base64"),
    ("BYTEA", "use TEXT, with the bytes in base64"),
    ("BYTES", "use TEXT, with the bytes in base64"),
    ("CITEXT", "use TEXT, and lower() in the models"),
    ("CLOB", "use TEXT"),
    ("DATETIME", "use TIMESTAMP, which is UTC"),
    ("ENUM", "use TEXT with CHECK (column IN ('one', 'other'))"),
    ("HSTORE", "use JSON"),
    ("HUGEINT", "use DECIMAL(38, 0)"),
    ("INET", "use TEXT"),
    ("INTERVAL", "use BIGINT with the length in milliseconds"),
    ("LIST", "use JSON, which keeps any JSON value"),
    ("LONGTEXT", "use TEXT"),
    ("MAP", "use JSON, which keeps any JSON value"),
    ("MONEY", "use DECIMAL(12, 2)"),
    ("NCHAR", "use VARCHAR(n)"),
    ("NUMBER", "use DECIMAL(precision, scale), BIGINT or DOUBLE"),
    ("NVARCHAR", "use VARCHAR(n)"),
    ("OBJECT", "use JSON"),
    ("SERIAL", "use INTEGER"),
    ("STRUCT", "use JSON, which keeps any JSON value"),
    ("TIME", "use TEXT, or BIGINT with the milliseconds since midnight"),
    ("TINYINT", "use SMALLINT"),
    ("UINT", "use BIGINT with CHECK (column >= 0)"),
    ("UNSIGNED", "use BIGINT with CHECK (column >= 0)"),
    ("UUID", "use TEXT"),
    ("VARIANT", "use JSON"),
    ("VARCHAR2", "use VARCHAR(n)"),
    ("XML", "use TEXT"),
];

/// Whether the token is the name of a type, supported or not.
pub(super) fn is_type_name(token: &TokenWithSpan) -> bool {
    NAMES.iter().any(|name| tokens::is_word(token, name))
        || UNSUPPORTED.iter().any(|(name, _)| tokens::is_word(token, name))
}

/// The type as it is written in SQL.
pub(super) fn sql_name(column_type: ColumnType) -> String {
    match column_type {
        ColumnType::Boolean => "BOOLEAN".to_owned(),
        ColumnType::Int16 => "SMALLINT".to_owned(),
        ColumnType::Int32 => "INTEGER".to_owned(),
        ColumnType::Int64 => "BIGINT".to_owned(),
        ColumnType::Float64 => "DOUBLE".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
        ColumnType::Text { max_chars: None } => "TEXT".to_owned(),
        ColumnType::Text { max_chars: Some(max_chars) } => format!("VARCHAR({max_chars})"),
        ColumnType::Timestamp => "TIMESTAMP".to_owned(),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Json => "JSON".to_owned(),
    }
}

/// Parses the name of a type that stands alone.
///
/// # Errors
/// The mistake, whose place is within `text`.
pub(in crate::project) fn parse_type_text(text: &str) -> Result<ColumnType, Box<Diagnostic>> {
    let file = SourceFile::new("", text);
    let mut mistakes = Mistakes::new(&file);
    let mut column_type = None;
    if let Some((tokens, _)) = tokens::tokenize(&file, &mut mistakes) {
        let mut cursor = TokenCursor::new(&tokens);
        column_type = read_type(&mut cursor, &mut mistakes);
        if let (Some(_), Some(token)) = (column_type, cursor.peek()) {
            let message = format!("`{}` is not expected after the type", token.token);
            mistakes.refuse(token, message, "write such as `DECIMAL(10, 2)`");
        } else if tokens.is_empty() {
            mistakes.at_end("the type is missing", "write such as `TEXT` or `DECIMAL(10, 2)`");
        }
    }
    match (column_type, mistakes.into_diagnostics().into_iter().next()) {
        (Some(column_type), None) => Ok(column_type),
        (_, Some(diagnostic)) => Err(Box::new(diagnostic)),
        (None, None) => Err(Box::new(Diagnostic::error("", "the type cannot be read"))),
    }
}

/// Reads the type of a column.
pub(super) fn read(
    cursor: &mut TokenCursor<'_>,
    column_name: &str,
    name_token: &TokenWithSpan,
    mistakes: &mut Mistakes<'_>,
) -> Option<ColumnType> {
    let next = cursor.peek();
    let is_missing = next.is_none_or(|token| {
        tokens::word(token).is_none()
            || ["NOT", "NULL", "CHECK", "CONSTRAINT", "COMMENT", "DEFAULT", "PRIMARY", "UNIQUE"]
                .iter()
                .any(|option| tokens::is_word(token, option))
    });
    if is_missing {
        let message = format!("column `{column_name}` has no type");
        mistakes.refuse(name_token, message, format!("write such as `{column_name} TEXT`"));
        return None;
    }
    let column_type = read_type(cursor, mistakes);
    let array = cursor
        .peek()
        .filter(|token| token.token == Token::LBracket || tokens::is_word(token, "ARRAY"));
    if let Some(array) = array {
        mistakes.refuse(array, "arrays are not supported", "use JSON, which keeps any JSON value");
        cursor.take_word("ARRAY");
        while cursor.peek().is_some_and(|token| {
            matches!(token.token, Token::LBracket | Token::RBracket | Token::Number(..))
        }) {
            cursor.next();
        }
        return None;
    }
    column_type
}

fn read_type(cursor: &mut TokenCursor<'_>, mistakes: &mut Mistakes<'_>) -> Option<ColumnType> {
    let name_token = cursor.next()?;
    let name = match tokens::word(name_token) {
        Some(word) if !tokens::is_quoted(name_token) => word.to_ascii_uppercase(),
        _ => {
            let message = format!("`{}` is not a type", name_token.token);
            mistakes.refuse(name_token, message, "write such as TEXT or DECIMAL(10, 2)");
            return None;
        }
    };
    let column_type = match name.as_str() {
        "BOOLEAN" | "BOOL" => ColumnType::Boolean,
        "SMALLINT" | "INT2" => ColumnType::Int16,
        "INTEGER" | "INT" | "INT4" => ColumnType::Int32,
        "BIGINT" | "INT8" => ColumnType::Int64,
        "DOUBLE" => {
            cursor.take_word("PRECISION");
            ColumnType::Float64
        }
        "FLOAT" | "FLOAT4" | "FLOAT8" | "REAL" => ColumnType::Float64,
        "TEXT" | "STRING" => ColumnType::Text { max_chars: None },
        "JSON" | "JSONB" => ColumnType::Json,
        "DATE" => ColumnType::Date,
        "DECIMAL" | "NUMERIC" | "DEC" => return read_decimal(cursor, name_token, mistakes),
        "VARCHAR" => return read_text(cursor, mistakes),
        "CHAR" | "CHARACTER" => {
            if cursor.take_word("VARYING") {
                return read_text(cursor, mistakes);
            }
            let message = format!("`{name}` pads its values with blanks");
            mistakes.refuse(name_token, message, "use VARCHAR(n) or TEXT");
            skip_parameters(cursor);
            return None;
        }
        "TIMESTAMP" | "TIMESTAMPTZ" => return read_timestamp(cursor, mistakes),
        _ => {
            let hint = match UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name) {
                Some((_, hint)) => (*hint).to_owned(),
                None => nearest_hint(
                    &name,
                    NAMES,
                    "types are BOOLEAN, SMALLINT, INTEGER, BIGINT, DOUBLE, DECIMAL(p, s), TEXT, VARCHAR(n), TIMESTAMP, DATE and JSON",
                ),
            };
            mistakes.refuse(name_token, format!("unknown type `{}`", name_token.token), hint);
            skip_parameters(cursor);
            return None;
        }
    };
    if name == "FLOAT" && cursor.at_left_parenthesis() {
        // FLOAT(n) is a number of bits that only chooses the storage.
        skip_parameters(cursor);
    }
    if let Some(parenthesis) = cursor.peek().filter(|_| cursor.at_left_parenthesis()) {
        let hint = format!("write `{}`", sql_name(column_type));
        mistakes.refuse(parenthesis, format!("`{name}` takes no parameters"), hint);
        skip_parameters(cursor);
        return None;
    }
    if let Some(unsigned) = cursor.peek().filter(|token| tokens::is_word(token, "UNSIGNED")) {
        let hint = "use BIGINT with CHECK (column >= 0)";
        mistakes.refuse(unsigned, "there are no unsigned types", hint);
        cursor.next();
        return None;
    }
    Some(column_type)
}

/// Passes parameters that mean nothing; after an opening parenthesis that is never closed, all.
fn skip_parameters(cursor: &mut TokenCursor<'_>) {
    if cursor.at_left_parenthesis() && cursor.take_parenthesised().is_none() {
        cursor.skip(cursor.rest().len());
    }
}

/// A whole number in the parameters of a type.
fn read_number(cursor: &mut TokenCursor<'_>, mistakes: &mut Mistakes<'_>) -> Option<u64> {
    let token = cursor.peek()?;
    if let Token::Number(digits, false) = &token.token {
        cursor.next();
        if let Ok(number) = digits.parse() {
            return Some(number);
        }
    }
    let message = format!("`{}` is not a whole number", token.token);
    mistakes.refuse(token, message, "the parameters of a type are whole numbers");
    None
}

/// `(precision)` or `(precision, scale)`, which must be there: without it, databases disagree.
fn read_decimal(
    cursor: &mut TokenCursor<'_>,
    name_token: &TokenWithSpan,
    mistakes: &mut Mistakes<'_>,
) -> Option<ColumnType> {
    let Some(parenthesis) = cursor.peek().filter(|_| cursor.at_left_parenthesis()) else {
        let message = format!("`{}` needs a precision and a scale", name_token.token);
        mistakes.refuse(name_token, message, "write such as `DECIMAL(18, 2)`");
        return None;
    };
    let mut inner = parameters(cursor, parenthesis, mistakes)?;
    let precision_token = inner.peek()?;
    let precision = read_number(&mut inner, mistakes)?;
    let mut scale = 0;
    let mut scale_token = precision_token;
    if inner.take_comma() {
        let Some(token) = inner.peek() else {
            mistakes.refuse(parenthesis, "the scale is missing", "write such as `DECIMAL(18, 2)`");
            return None;
        };
        scale_token = token;
        scale = read_number(&mut inner, mistakes)?;
    }
    if let Some(token) = inner.peek() {
        let message = format!("`{}` is not expected here", token.token);
        mistakes.refuse(token, message, "write `DECIMAL(precision, scale)`");
        return None;
    }
    if precision == 0 || precision > MAX_PRECISION {
        let message = format!("a precision of {precision} digits is not possible");
        mistakes.refuse(precision_token, message, format!("use 1 to {MAX_PRECISION} digits"));
        return None;
    }
    if scale > precision {
        let message = format!("the scale {scale} is larger than the precision {precision}");
        let hint = "the precision counts all digits, the scale those after the point";
        mistakes.refuse(scale_token, message, hint);
        return None;
    }
    let (precision, scale) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
    Some(ColumnType::Decimal { precision, scale })
}

/// `(max_chars)`, or nothing.
fn read_text(cursor: &mut TokenCursor<'_>, mistakes: &mut Mistakes<'_>) -> Option<ColumnType> {
    let Some(parenthesis) = cursor.peek().filter(|_| cursor.at_left_parenthesis()) else {
        return Some(ColumnType::Text { max_chars: None });
    };
    let mut inner = parameters(cursor, parenthesis, mistakes)?;
    let token = inner.peek()?;
    let max_chars = read_number(&mut inner, mistakes)?;
    if let Some(extra) = inner.peek() {
        let message = format!("`{}` is not expected here", extra.token);
        mistakes.refuse(extra, message, "write `VARCHAR(n)`");
        return None;
    }
    if max_chars == 0 || max_chars > MAX_CHARS {
        let message = format!("a length of {max_chars} characters is not possible");
        mistakes.refuse(token, message, format!("use 1 to {MAX_CHARS}, or TEXT"));
        return None;
    }
    Some(ColumnType::Text { max_chars: u32::try_from(max_chars).ok() })
}

/// `(6)`, `WITH TIME ZONE`, or nothing: every timestamp has microseconds and is UTC.
fn read_timestamp(cursor: &mut TokenCursor<'_>, mistakes: &mut Mistakes<'_>) -> Option<ColumnType> {
    if let Some(parenthesis) = cursor.peek().filter(|_| cursor.at_left_parenthesis()) {
        let mut inner = parameters(cursor, parenthesis, mistakes)?;
        let token = inner.peek()?;
        if read_number(&mut inner, mistakes)? != 6 || inner.peek().is_some() {
            mistakes.refuse(token, "every timestamp has microseconds", "write `TIMESTAMP`");
            return None;
        }
    }
    if cursor.peek_words(&["WITH", "TIME", "ZONE"]) {
        cursor.skip(3);
    } else if cursor.peek_words(&["WITHOUT", "TIME", "ZONE"]) {
        if let Some(token) = cursor.peek() {
            mistakes.refuse(token, "every timestamp is UTC", "write `TIMESTAMP`");
        }
        cursor.skip(3);
        return None;
    }
    Some(ColumnType::Timestamp)
}

/// The tokens between the parentheses that come next, at least one.
fn parameters<'t>(
    cursor: &mut TokenCursor<'t>,
    parenthesis: &TokenWithSpan,
    mistakes: &mut Mistakes<'_>,
) -> Option<TokenCursor<'t>> {
    let Some(inner) = cursor.take_parenthesised() else {
        mistakes.refuse(parenthesis, "this parenthesis is never closed", "write `)`");
        cursor.skip(cursor.rest().len());
        return None;
    };
    if inner.is_empty() {
        mistakes.refuse(parenthesis, "the parentheses are empty", "write a number, or remove them");
        return None;
    }
    Some(TokenCursor::new(inner))
}

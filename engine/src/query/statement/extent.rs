//! Stops at queries that are too deep or too wide to be looked at: what reads, copies and plans them goes
//! down with them, on a stack that is not endless, and takes longer than in proportion.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, Expr, Query, SetExpr, TableFactor, Visitor,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::guard::Refusal;

/// Deepest chain of operators, such as `a OR b OR …`, and of `UNION`s.
const MAX_DEPTH: usize = 256;

/// Most tables and subqueries in all.
const MAX_TABLES: usize = 256;

/// Most operators before the parser sees the text: it puts chains of them into trees that are as deep.
pub(super) const MAX_OPERATORS: usize = 5_000;

/// Most columns of CUBE and ROLLUP: a CUBE of n columns groups 2ⁿ times.
const MAX_CUBE: usize = 12;

/// Deepest type in a text, such as `List(List(Int64))`.
const MAX_TYPE_DEPTH: usize = 16;

/// Most elements of a type of a fixed length: each value takes all of them, also where it is NULL.
const MAX_FIXED_LENGTH: u64 = 4096;

/// Measures a query.
#[derive(Default)]
pub(super) struct Extent {
    depth: usize,
    tables: usize,
}

fn too_much(message: String) -> ControlFlow<Refusal> {
    ControlFlow::Break(Refusal { position: None, length: 1, message })
}

/// Whether the parser makes its tree deeper for this.
pub(super) fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::COLLATE
                | Keyword::AT
                | Keyword::JOIN
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
        ),
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::SemiColon
        | Token::EOF => false,
        _ => true,
    }
}

impl Visitor for Extent {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        // Without recursion: this is what looks first.
        let mut waiting = vec![(&*query.body, 1)];
        while let Some((body, depth)) = waiting.pop() {
            if depth > MAX_DEPTH {
                return too_much(format!("more than {MAX_DEPTH} queries are put together here"));
            }
            if let SetExpr::SetOperation { left, right, .. } = body {
                waiting.extend([(&**left, depth + 1), (&**right, depth + 1)]);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, _: &TableFactor) -> ControlFlow<Refusal> {
        self.tables += 1;
        match self.tables > MAX_TABLES {
            true => too_much(format!("it reads more than {MAX_TABLES} tables and subqueries")),
            false => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Refusal> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return too_much(format!(
                "a chain of more than {MAX_DEPTH} operators; write `x IN (…)` instead of many ORs"
            ));
        }
        match expression {
            Expr::Cube(sets) | Expr::Rollup(sets) if sets.len() > MAX_CUBE => {
                too_much(format!("CUBE and ROLLUP take at most {MAX_CUBE} columns"))
            }
            Expr::Function(function) if is_cast(&function.name.to_string()) => {
                let target = function.args.to_string();
                if target.matches('(').count() > MAX_TYPE_DEPTH {
                    return too_much("the type to cast to is too deep".to_owned());
                }
                match target.to_ascii_lowercase().contains("fixedsize") {
                    true => check_length(&target),
                    false => ControlFlow::Continue(()),
                }
            }
            Expr::Cast { data_type: target @ SqlType::Array(_), .. } => {
                check_length(&target.to_string())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Refusal> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Stops at a number in a type that can only be a length.
fn check_length(target: &str) -> ControlFlow<Refusal> {
    let mut numbers = target.split(|letter: char| !letter.is_ascii_digit());
    let is_long = |number: &str| {
        !number.is_empty() && number.parse::<u64>().map_or(true, |length| length > MAX_FIXED_LENGTH)
    };
    match numbers.any(is_long) {
        true => too_much(format!("a type has a fixed length of at most {MAX_FIXED_LENGTH}")),
        false => ControlFlow::Continue(()),
    }
}

fn is_cast(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().as_str(), "arrow_cast" | "arrow_try_cast")
}

//! Walking through a syntax tree.
//!
//! The parser's tree is compiled anew for each type of visitor: some hundred types of nodes, and with
//! each of them what keeps the stack from overflowing. So the tree is compiled for one type here,
//! which hands each node to whoever looks.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, Visitor,
};

/// Walks through `node`, until `visitor` breaks off.
pub(crate) fn walk<V: Visitor>(node: &impl Visit, visitor: &mut V) -> ControlFlow<V::Break> {
    let mut looking = Looking { visitor, reason: None };
    let _ = node.visit(&mut Walk(&mut looking));
    match looking.reason {
        Some(reason) => ControlFlow::Break(reason),
        None => ControlFlow::Continue(()),
    }
}

/// Calls `found` for each table that is named below `node`, until it breaks off.
pub(crate) fn relations(node: &impl Visit, found: impl FnMut(&ObjectName) -> ControlFlow<()>) {
    struct Relations<F>(F);

    impl<F: FnMut(&ObjectName) -> ControlFlow<()>> Visitor for Relations<F> {
        type Break = ();

        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            (self.0)(relation)
        }
    }

    let _ = walk(node, &mut Relations(found));
}

/// Whoever looks, and why it broke off.
struct Looking<'a, V: Visitor> {
    visitor: &'a mut V,
    reason: Option<V::Break>,
}

/// The one type that trees are compiled for.
struct Walk<'a>(&'a mut dyn Look);

/// The methods of a visitor without their type of reason.
macro_rules! handed_on {
    ($($method:ident: $node:ty,)*) => {
        trait Look {
            $(fn $method(&mut self, node: &$node) -> ControlFlow<()>;)*
        }

        impl<V: Visitor> Look for Looking<'_, V> {
            $(fn $method(&mut self, node: &$node) -> ControlFlow<()> {
                match self.visitor.$method(node) {
                    ControlFlow::Continue(()) => ControlFlow::Continue(()),
                    ControlFlow::Break(reason) => {
                        self.reason = Some(reason);
                        ControlFlow::Break(())
                    }
                }
            })*
        }

        impl Visitor for Walk<'_> {
            type Break = ();

            $(fn $method(&mut self, node: &$node) -> ControlFlow<()> {
                self.0.$method(node)
            })*
        }
    };
}

handed_on! {
    pre_visit_query: Query,
    post_visit_query: Query,
    pre_visit_select: Select,
    post_visit_select: Select,
    pre_visit_relation: ObjectName,
    post_visit_relation: ObjectName,
    pre_visit_table_factor: TableFactor,
    post_visit_table_factor: TableFactor,
    pre_visit_expr: Expr,
    post_visit_expr: Expr,
    pre_visit_statement: Statement,
    post_visit_statement: Statement,
    pre_visit_value: ValueWithSpan,
    post_visit_value: ValueWithSpan,
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn parsed(sql: &str) -> Vec<Statement> {
        Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap()
    }

    #[test]
    fn every_table_is_found_until_it_is_enough() {
        let statements = parsed("SELECT (SELECT max(x) FROM c) FROM a JOIN b ON a.x = b.x");
        let mut names = Vec::new();
        relations(&statements, |name| {
            names.push(name.to_string());
            ControlFlow::Continue(())
        });
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "c"]);
        let mut seen = 0;
        relations(&statements, |_| {
            seen += 1;
            ControlFlow::Break(())
        });
        assert_eq!(seen, 1);
    }

    #[test]
    fn nodes_come_before_and_behind_their_children_and_the_reason_is_told() {
        #[derive(Default)]
        struct Seen(String);

        impl Visitor for Seen {
            type Break = String;

            fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<String> {
                self.0.push('{');
                ControlFlow::Continue(())
            }

            fn post_visit_query(&mut self, _: &Query) -> ControlFlow<String> {
                self.0.push('}');
                ControlFlow::Continue(())
            }

            fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<String> {
                self.0.push_str(&format!("({expression}"));
                match expression.to_string().as_str() {
                    "stop" => ControlFlow::Break("stopped".to_owned()),
                    _ => ControlFlow::Continue(()),
                }
            }

            fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<String> {
                self.0.push(')');
                ControlFlow::Continue(())
            }

            fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<String> {
                self.0.push_str(&format!("={value}"));
                ControlFlow::Continue(())
            }
        }

        let mut seen = Seen::default();
        let whole = parsed("SELECT a + 1 FROM t WHERE b IN (SELECT c FROM u)");
        assert_eq!(walk(&whole, &mut seen), ControlFlow::Continue(()));
        assert_eq!(seen.0, "{(a + 1(a)(1=1))(b IN (SELECT c FROM u)(b){(c)})}");
        let mut seen = Seen::default();
        let broken_off = parsed("SELECT a, stop, b FROM t");
        assert_eq!(walk(&broken_off, &mut seen), ControlFlow::Break("stopped".to_owned()));
        assert_eq!(seen.0, "{(a)(stop");
    }
}

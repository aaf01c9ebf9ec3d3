//! The parameters of a request: each is taken by whoever knows what it means, and what is left at the
//! end is a mistake. All mistakes are told at once.

use questlake_engine::project::diagnostic::nearest;
use url::form_urlencoded;

use crate::problem::{Kind, Mistake, Problem};

/// More pairs than any request needs.
const MAX_PAIRS: usize = 500;

/// What a cursor may be.
const CURSOR: &str = "the next_cursor of an answer to the same request";

/// The parameters that nobody has taken yet, and the mistakes so far.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    left: Vec<(String, String)>,
    known: Vec<String>,
    mistakes: Vec<Mistake>,
    /// Of the mistakes, those that are only a cursor of other rows.
    lost_cursors: usize,
}

impl Parameters {
    /// Those of a query string.
    pub(crate) fn new(query: &str) -> Self {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if parameters.left.len() == MAX_PAIRS {
                let message = format!("there are more than {MAX_PAIRS} parameters");
                parameters.mistake(&name, message, None);
                break;
            }
            parameters.left.push((name.into_owned(), value.into_owned()));
        }
        parameters
    }

    /// Every value of a parameter, in order.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<String> {
        self.known.push(name.to_owned());
        let mut values = Vec::new();
        self.left.retain_mut(|(left, value)| {
            let is_wanted = left == name;
            if is_wanted {
                values.push(std::mem::take(value));
            }
            !is_wanted
        });
        values
    }

    /// The value of a parameter that stands once.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let mut values = self.take_all(name);
        if values.len() > 1 {
            self.mistake(name, format!("`{name}` is there {} times", values.len()), None);
        }
        values.pop()
    }

    /// A whole number within these bounds.
    pub(crate) fn take_number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.take(name)?;
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                let allowed = format!("a whole number from {least} to {most}");
                self.refuse(name, &text, &allowed);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn take_flag(&mut self, name: &str) -> bool {
        match self.take(name).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                let other = other.to_owned();
                self.refuse(name, &other, "true or false");
                false
            }
        }
    }

    /// A cursor: where its page begins, by `read`. One of another question, or of data that is not there
    /// any more, is no wrong text: asking again without it helps.
    pub(crate) fn take_cursor<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<(String, T)> {
        let text = self.take(name)?;
        if text.is_empty()
            || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            self.refuse(name, &text, CURSOR);
            return None;
        }
        let place = read(&text);
        if place.is_none() {
            self.lost_cursors += 1;
            let message = format!(
                "`{name}` is of other rows, another order, or older data: ask for the first page again"
            );
            self.mistake(name, message, Some(CURSOR.to_owned()));
        }
        Some((text, place?))
    }

    /// Notes that a value is none that the parameter takes.
    pub(crate) fn refuse(&mut self, name: &str, value: &str, allowed: &str) {
        let message = format!("`{name}` cannot be `{}`: it is {allowed}", shortened(value));
        self.mistake(name, message, Some(allowed.to_owned()));
    }

    pub(crate) fn mistake(&mut self, name: &str, message: String, allowed: Option<String>) {
        let parameter = name.to_owned();
        self.mistakes.push(Mistake { parameter, message, allowed, ..Mistake::default() });
    }

    /// Says that everything is taken that there can be.
    ///
    /// # Errors
    /// All mistakes, those about unknown parameters included.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        let mut names: Vec<&str> = self.known.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let allowed = match names.is_empty() {
            true => "no parameters".to_owned(),
            false => names.join(", "),
        };
        for (name, _) in &self.left {
            let hint = nearest(name, names.iter().copied());
            let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            let message = format!("there is no parameter `{}`{hint}", shortened(name));
            let (parameter, allowed) = (name.clone(), Some(allowed.clone()));
            self.mistakes.push(Mistake { parameter, message, allowed, ..Mistake::default() });
        }
        match self.mistakes.is_empty() {
            true => Ok(()),
            false => {
                let is_lost = self.lost_cursors == self.mistakes.len();
                let kind = if is_lost { Kind::LostCursor } else { Kind::InvalidParameter };
                Err(Problem::of_mistakes(kind, self.mistakes))
            }
        }
    }
}

/// A text of a caller as it is told back: its beginning, without control characters.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_once_and_unknown_names_told() {
        let mut parameters = Parameters::new("platform=ios&platform=a%26b&limit=7&limt=3&x=");
        assert_eq!(parameters.take_all("platform"), ["ios", "a&b"]);
        assert_eq!(parameters.take_number("limit", 1, 10), Some(7));
        let problem = parameters.finish().unwrap_err();
        let told: Vec<&str> =
            problem.mistakes.iter().map(|mistake| mistake.parameter.as_str()).collect();
        assert_eq!(told, ["limt", "x"]);
        assert!(problem.mistakes[0].message.contains("did you mean `limit`?"));
        assert_eq!(problem.mistakes[0].allowed.as_deref(), Some("limit, platform"));
    }

    #[test]
    fn values_that_do_not_fit_are_told_with_what_does() {
        let mut parameters = Parameters::new("limit=0&all=yes&order=a&order=b");
        assert_eq!(parameters.take_number("limit", 1, 10), None);
        assert!(!parameters.take_flag("all"));
        parameters.take("order");
        let problem = parameters.finish().unwrap_err();
        let allowed: Vec<Option<&str>> =
            problem.mistakes.iter().map(|mistake| mistake.allowed.as_deref()).collect();
        assert_eq!(allowed, [Some("a whole number from 1 to 10"), Some("true or false"), None]);
    }

    #[test]
    fn anything_may_be_in_a_query_string() {
        for odd in ["", "&&&", "%", "%zz=%00", "a=b=c", "=", "%F0%28%8C%BC=1"] {
            let _ = Parameters::new(odd).finish();
        }
        let many = "a=1&".repeat(MAX_PAIRS + 5);
        let mut parameters = Parameters::new(&many);
        assert_eq!(parameters.take_all("a").len(), MAX_PAIRS);
        assert!(parameters.finish().is_err());
        assert!(shortened(&"x\n".repeat(100)).ends_with('…'));
    }
}

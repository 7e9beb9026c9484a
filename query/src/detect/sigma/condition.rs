//! Sigma's condition language: `and`, `or`, `not`, parentheses, `1 of x*`, `all of them`.

use crate::detect::problem::{RuleError, invalid, unsupported};

/// A parsed condition over named detections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// A detection by name.
    Name(String),
    /// All of them.
    And(Vec<Condition>),
    /// Any of them.
    Or(Vec<Condition>),
    /// Negation.
    Not(Box<Condition>),
    /// `1 of` / `any of` a pattern (`*` matches anything; `them` is every name not starting `_`).
    AnyOf(String),
    /// `all of` a pattern.
    AllOf(String),
}

/// Nesting beyond this is refused: no honest rule needs it, and recursion must end.
const DEPTH_MAX: usize = 64;

/// Parses a condition.
///
/// # Errors
/// Says which word was not expected.
pub fn parse(text: &str) -> Result<Condition, RuleError> {
    let words = words(text);
    let mut parser = Parser { text, words: &words, at: 0 };
    let condition = parser.or(0)?;
    match parser.peek() {
        None => Ok(condition),
        Some("|") => unsupported(format!(
            "condition `{text}` uses the old aggregation `| …`; write a correlation rule instead"
        )),
        Some(word) => invalid(format!("condition `{text}`: unexpected `{word}`")),
    }
}

fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        rest = &rest[start..];
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let end = if rest.starts_with(['(', ')', '|']) {
            first
        } else {
            rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|')).unwrap_or(rest.len())
        };
        words.push(&rest[..end]);
        rest = &rest[end..];
    }
    words
}

struct Parser<'a> {
    text: &'a str,
    words: &'a [&'a str],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Condition, RuleError> {
        if depth > DEPTH_MAX {
            return invalid(format!("condition `{}` is nested deeper than {DEPTH_MAX}", self.text));
        }
        let mut parts = vec![self.and(depth)?];
        while self.take("or") {
            parts.push(self.and(depth)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Condition::Or(parts) })
    }

    fn and(&mut self, depth: usize) -> Result<Condition, RuleError> {
        let mut parts = vec![self.not(depth)?];
        while self.take("and") {
            parts.push(self.not(depth)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Condition::And(parts) })
    }

    fn not(&mut self, depth: usize) -> Result<Condition, RuleError> {
        let mut negated = false;
        while self.take("not") {
            negated = !negated;
        }
        let inner = self.primary(depth)?;
        Ok(if negated { Condition::Not(Box::new(inner)) } else { inner })
    }

    fn primary(&mut self, depth: usize) -> Result<Condition, RuleError> {
        let Some(word) = self.peek() else {
            return invalid(format!("condition `{}` ends where a detection name is expected", self.text));
        };
        self.at += 1;
        if word == "(" {
            let inner = self.or(depth + 1)?;
            if !self.take(")") {
                return invalid(format!("condition `{}`: a `)` is missing", self.text));
            }
            return Ok(inner);
        }
        if self.peek().is_some_and(|next| next.eq_ignore_ascii_case("of")) {
            self.at += 1;
            let Some(pattern) = self.peek() else {
                return invalid(format!(
                    "condition `{}`: `{word} of` needs a name pattern or `them`",
                    self.text
                ));
            };
            self.at += 1;
            return match word.to_ascii_lowercase().as_str() {
                "1" | "any" => Ok(Condition::AnyOf(pattern.to_owned())),
                "all" => Ok(Condition::AllOf(pattern.to_owned())),
                _ => unsupported(format!(
                    "condition `{}`: only `1 of`, `any of` and `all of` exist",
                    self.text
                )),
            };
        }
        if matches!(word.to_ascii_lowercase().as_str(), "and" | "or" | ")" | "|") {
            return invalid(format!("condition `{}`: unexpected `{word}`", self.text));
        }
        Ok(Condition::Name(word.to_owned()))
    }
}

/// Whether a detection name is meant by a pattern of `1 of` / `all of`.
pub fn selects(pattern: &str, name: &str) -> bool {
    if pattern.eq_ignore_ascii_case("them") {
        return !name.starts_with('_');
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Condition {
        Condition::Name(text.to_owned())
    }

    #[test]
    fn precedence_is_not_then_and_then_or() {
        assert_eq!(
            parse("a or not b and (c or d)"),
            Ok(Condition::Or(vec![
                name("a"),
                Condition::And(vec![
                    Condition::Not(Box::new(name("b"))),
                    Condition::Or(vec![name("c"), name("d")])
                ])
            ]))
        );
        assert_eq!(
            parse("selection and not 1 of filter_main_*"),
            Ok(Condition::And(vec![
                name("selection"),
                Condition::Not(Box::new(Condition::AnyOf("filter_main_*".to_owned())))
            ]))
        );
        assert_eq!(parse("ALL OF them"), Ok(Condition::AllOf("them".to_owned())));
    }

    #[test]
    fn broken_conditions_say_what_is_wrong() {
        for text in ["", "a and", "(a", "a b", "or a", "1 of", "not", ")"] {
            assert!(matches!(parse(text), Err(RuleError::Invalid(_))), "{text:?}");
        }
        for text in ["a | count() > 5", "2 of them"] {
            assert!(matches!(parse(text), Err(RuleError::Unsupported(_))), "{text:?}");
        }
        assert!(parse(&"(".repeat(100_000)).is_err());
    }

    #[test]
    fn patterns_select_names() {
        assert!(selects("them", "selection") && !selects("them", "_hidden"));
        assert!(
            selects("sel*", "selection") && selects("*tion", "selection") && selects("s*c*n", "selection")
        );
        assert!(!selects("sel", "selection") && !selects("x*", "selection") && !selects("s*x", "selection"));
    }
}

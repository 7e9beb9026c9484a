//! Sigma filters: exceptions to rules, kept apart from the rules.
//!
//! A filter's condition is added to the condition of every rule it names: only rows that meet both
//! are reported, so an exception is written `condition: not selection`. Beyond the specification a
//! filter may end: `expires: 2027-01-31` (the last day it counts), because an exception that nobody
//! looks at again hides an attack one day. An expired filter does nothing and is named.

use super::detection::Placeholders;
use super::{SigmaRule, condition, logsource, meaning};
use crate::detect::correlate::wiring::means;
use crate::detect::fields::LogSource;
use crate::detect::predicate::Predicate;
use crate::detect::problem::{RuleError, invalid};
use crate::detect::rule::{text, texts};
use chrono::NaiveDate;
use condition::Condition;
use serde_norway::{Mapping, Value};

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// One line.
    pub title: String,
    /// File it came from.
    pub origin: String,
    /// Ids, names or titles of the rules it is added to; `None` for every rule of its log source.
    rules: Option<Vec<String>>,
    /// What a rule's log source must say, as far as it is given.
    logsource: LogSource,
    /// Last day it counts.
    expires: Option<NaiveDate>,
    detections: Mapping,
    condition: Condition,
}

impl Filter {
    /// Parses a document with a `filter` part.
    ///
    /// # Errors
    /// Names the field and what is wrong with it.
    pub fn parse(map: &Mapping, filter: &Mapping, origin: &str) -> Result<Filter, RuleError> {
        let Some(title) = text(map, "title")? else {
            return invalid("field `title` is missing");
        };
        let rules = texts(filter, "rules")?;
        let any = rules.iter().any(|rule| rule.eq_ignore_ascii_case("any"));
        if rules.is_empty() {
            return invalid("field `filter.rules` names no rule; `any` means every rule of the log source");
        }
        let expires = match text(map, "expires")?.or(text(filter, "expires")?) {
            None => None,
            Some(day) => match day.parse() {
                Ok(day) => Some(day),
                Err(_) => {
                    return invalid(format!("field `expires`: `{day}` is not a day such as 2027-01-31"));
                }
            },
        };
        let condition = match filter.get("condition") {
            Some(Value::String(text)) => condition::parse(text)?,
            _ => return invalid("field `filter.condition` is missing"),
        };
        let mut detections = filter.clone();
        for key in ["rules", "condition", "expires"] {
            detections.remove(key);
        }
        if detections.is_empty() {
            return invalid("field `filter` has no selection");
        }
        Ok(Filter {
            title,
            origin: origin.to_owned(),
            rules: (!any).then_some(rules),
            logsource: if map.contains_key("logsource") { logsource(map)? } else { LogSource::default() },
            expires,
            detections,
            condition,
        })
    }

    /// Adds the filter to the rules it means; the result is what the reader must know.
    ///
    /// # Errors
    /// A selection that does not fit the table of a rule.
    pub fn apply(
        &self,
        rules: &mut [SigmaRule],
        today: NaiveDate,
        known: &Placeholders,
    ) -> Result<Option<String>, RuleError> {
        let Filter { title, origin, .. } = self;
        if let Some(last) = self.expires.filter(|last| *last < today) {
            return Ok(Some(format!(
                "filter `{title}` ({origin}) expired on {last} and does nothing; renew or remove it"
            )));
        }
        let mut applied = 0;
        for rule in rules.iter_mut().filter(|rule| self.is_for(rule)) {
            let condition = std::slice::from_ref(&self.condition);
            let more = meaning(&self.detections, condition, rule.source, known)?;
            let own = std::mem::replace(&mut rule.predicate, Predicate::Always(true));
            rule.predicate = Predicate::and(vec![own, more]);
            applied += 1;
        }
        Ok((applied == 0).then(|| format!("filter `{title}` ({origin}) fits no rule that was loaded")))
    }

    fn is_for(&self, rule: &SigmaRule) -> bool {
        let named = self.rules.as_ref().is_none_or(|rules| {
            rules.iter().any(|wanted| means(wanted, &rule.meta) || rule.meta.title == *wanted)
        });
        let same = |mine: &Option<String>, theirs: &Option<String>| {
            mine.as_ref()
                .is_none_or(|mine| theirs.as_ref().is_some_and(|theirs| theirs.eq_ignore_ascii_case(mine)))
        };
        named
            && same(&self.logsource.product, &rule.logsource.product)
            && same(&self.logsource.service, &rule.logsource.service)
            && same(&self.logsource.category, &rule.logsource.category)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Document, parse};
    use super::*;

    const RULES: &str = "title: T\nid: r1\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s: {eventName: X}\n  condition: s\n---\n\
        title: F\nlogsource: {product: aws}\nexpires: 2026-12-31\nfilter:\n  rules: [r1]\n  selection: {userAgent|startswith: terraform}\n  condition: not selection\n";

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap_or_default()
    }

    #[test]
    fn a_filter_narrows_its_rule_until_it_expires() {
        let (documents, problems) = parse(RULES, "f.yml", false, &Placeholders::new());
        assert!(problems.is_empty(), "{problems:?}");
        let [Document::Rule(rule), Document::Filter(filter)] = documents.as_slice() else {
            panic!("{documents:?}")
        };
        let mut rules = vec![rule.clone()];
        let note = filter.apply(&mut rules, day("2027-01-01"), &Placeholders::new());
        assert!(matches!(note, Ok(Some(note)) if note.contains("expired on 2026-12-31")));
        assert_eq!(rules.as_slice(), std::slice::from_ref(rule));
        assert_eq!(filter.apply(&mut rules, day("2026-12-31"), &Placeholders::new()), Ok(None));
        let sql = crate::detect::predicate_sql::condition(&rules[0].predicate);
        assert_eq!(sql, "lower(event_name) = 'x' AND (user_agent ILIKE 'terraform%') IS NOT TRUE");
        let mut others = rules.clone();
        others[0].logsource.product = Some("other".to_owned());
        let note = filter.apply(&mut others, day("2026-12-31"), &Placeholders::new());
        assert!(matches!(note, Ok(Some(note)) if note.contains("fits no rule")));
    }

    #[test]
    fn what_is_wrong_with_a_filter_is_said() {
        for (text, said) in [
            ("title: F\nfilter: {rules: [a], condition: s}", "no selection"),
            ("title: F\nfilter: {selection: {a: b}, condition: selection}", "names no rule"),
            ("title: F\nexpires: soon\nfilter: {rules: any, s: {a: b}, condition: s}", "not a day"),
            ("title: F\nfilter: {rules: any, s: {a: b}}", "filter.condition"),
        ] {
            let (_, problems) = parse(text, "f.yml", false, &Placeholders::new());
            assert!(problems.iter().any(|problem| problem.message.contains(said)), "{text}: {problems:?}");
        }
    }
}

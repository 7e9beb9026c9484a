//! `rewrite_tag`: records that match a rule go on under another tag, which here is a route of their own.

use super::records::Field;
use super::{Section, Translation, escaped, is_body};
use toml::Table;

/// A rule: the field, what it must match, the new tag, and whether the record stays under the old one.
struct Rule {
    field: String,
    pattern: String,
    tag: String,
    keep: bool,
}

impl Translation {
    pub(super) fn rewrite(&mut self, routes: &[usize], section: &mut Section) {
        for entry in section.take_all("rule") {
            let parsed = rule(&entry.value);
            let merged = routes.iter().find_map(|&route| self.routes[route].merged.clone());
            let test = parsed.as_ref().and_then(|rule| {
                Some((rule, Field::read(&rule.field, merged.as_deref())?.matches(&rule.pattern)?))
            });
            let Some((rule, test)) = test else {
                self.note(&entry.place, &format!("rule {}", entry.value), "the field or the expression has no counterpart: its records keep their tag, so they go where the old tag goes; add a filter transform and name it in the inputs of its sink");
                continue;
            };
            for &route in routes {
                self.emit(route, rule, &test);
            }
            if rule.keep {
                self.note(&entry.place, &format!("rule {}", entry.value), "records that stay under the old tag are tried with the rules behind this one as well; in Fluent Bit the first that matches is the last");
            }
        }
        for key in ["emitter_name", "emitter_storage.type", "emitter_mem_buf_limit"] {
            for entry in section.take_all(key) {
                self.note(
                    &entry.place,
                    &format!("{} {}", entry.key, entry.value),
                    "there is no emitter: records go straight on",
                );
            }
        }
    }

    fn emit(&mut self, route: usize, rule: &Rule, test: &str) {
        let mut emitted = self.routes[route].clone();
        // What the tag takes from the record or the expression is not known beforehand.
        let known = rule.tag.replace("$TAG", &emitted.tag);
        let tag = if rule.tag.contains("$TAG[") { starred(&rule.tag) } else { starred(&known) };
        let containers =
            emitted.containers.take().filter(|_| rule.tag.contains("$TAG") && !rule.tag.contains("$TAG["));
        emitted.containers =
            containers.map(|prefix| rule.tag.split("$TAG").next().unwrap_or_default().to_owned() + &prefix);
        // A tag that ends in something else is not one of a container's file any more.
        emitted.containers =
            emitted.containers.filter(|prefix| rule.tag.ends_with("$TAG") && !prefix.contains('$'));
        emitted.tag = tag;
        emitted.within.clear();
        emitted.without.clear();
        emitted.emitted = true;
        self.routes.push(emitted);
        let new = self.routes.len() - 1;
        if is_body(&rule.field) {
            let pattern = escaped(&rule.pattern.replace("\\h", "[0-9a-fA-F]"));
            let condition = Table::from_iter([("matches".to_owned(), vec![pattern].into())]);
            self.filtered(new, condition.clone(), false);
            if !rule.keep {
                self.filtered(route, condition, true);
            }
        } else {
            self.keep(&[new], test);
            if !rule.keep {
                self.keep(&[route], &format!("!{test}"));
            }
        }
    }
}

fn rule(text: &str) -> Option<Rule> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [field, pattern, tag, keep] = words.as_slice() else { return None };
    Some(Rule {
        field: (*field).to_owned(),
        pattern: (*pattern).to_owned(),
        tag: (*tag).to_owned(),
        keep: matches!(keep.to_ascii_lowercase().as_str(), "true" | "on" | "yes"),
    })
}

/// A tag whose placeholders are stars.
fn starred(tag: &str) -> String {
    let mut out = String::new();
    let mut rest = tag;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        out.push('*');
        let name =
            behind.find(|one: char| !one.is_ascii_alphanumeric() && one != '_').unwrap_or(behind.len());
        rest = &behind[name..];
        while let Some(index) = rest.strip_prefix(['[', '{']).and_then(|inner| inner.find([']', '}'])) {
            rest = &rest[index + 2..];
        }
    }
    out + rest
}

//! A lifecycle rule as a value: read from S3's form, compared, shown, and written back.

use aws_sdk_s3::types as s3;
use std::fmt::Write;

/// When an action happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// Days after the object was made.
    Days(i32),
    /// On a day, as S3 writes it.
    Date(String),
}

impl When {
    /// Days after the object was made; a date counts as 0: it hits every object that is there by then.
    pub fn days(&self) -> i32 {
        match self {
            When::Days(days) => *days,
            When::Date(_) => 0,
        }
    }

    fn text(&self) -> String {
        match self {
            When::Days(days) => format!("after {days} d"),
            When::Date(date) => format!("on {date}"),
        }
    }
}

/// A move to another storage class. The class is text: S3 may know one that we do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// When.
    pub when: When,
    /// Where to.
    pub class: String,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// Its id; empty when S3 is to make one up.
    pub id: String,
    /// Whether it acts.
    pub enabled: bool,
    /// Keys it is about; empty means all.
    pub prefix: String,
    /// Tags an object must carry, all of them.
    pub tags: Vec<(String, String)>,
    /// Only objects with more bytes.
    pub larger_than: Option<i64>,
    /// Only objects with fewer bytes.
    pub smaller_than: Option<i64>,
    /// Moves of the current version.
    pub moves: Vec<Move>,
    /// Removal of the current version.
    pub expiry: Option<When>,
    /// Removal of delete markers that hide nothing.
    pub removes_markers: bool,
    /// Moves of noncurrent versions: days and class.
    pub noncurrent_moves: Vec<(i32, String)>,
    /// Removal of noncurrent versions: days, and how many newer ones stay.
    pub noncurrent_expiry: Option<(i32, Option<i32>)>,
    /// Removal of the parts of uploads that were never completed.
    pub aborts_uploads_after: Option<i32>,
}

impl Rule {
    /// Reads S3's form; both spellings of the prefix.
    #[allow(deprecated)] // rules made before filters existed carry their prefix beside them
    pub fn read(rule: &s3::LifecycleRule) -> Rule {
        let filter = rule.filter();
        let and = filter.and_then(|filter| filter.and());
        let prefix = rule
            .prefix()
            .or_else(|| filter.and_then(|filter| filter.prefix()))
            .or_else(|| and.and_then(|and| and.prefix()));
        let tags = filter.and_then(|filter| filter.tag()).into_iter();
        let tags = tags.chain(and.into_iter().flat_map(|and| and.tags()));
        let size = |of_filter: Option<i64>, of_and: Option<i64>| of_filter.or(of_and);
        let expiration = rule.expiration();
        Rule {
            id: rule.id().unwrap_or_default().to_owned(),
            enabled: *rule.status() == s3::ExpirationStatus::Enabled,
            prefix: prefix.unwrap_or_default().to_owned(),
            tags: tags.map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect(),
            larger_than: size(
                filter.and_then(|filter| filter.object_size_greater_than()),
                and.and_then(|and| and.object_size_greater_than()),
            ),
            smaller_than: size(
                filter.and_then(|filter| filter.object_size_less_than()),
                and.and_then(|and| and.object_size_less_than()),
            ),
            moves: rule.transitions().iter().map(read_move).collect(),
            expiry: expiration.and_then(|expiration| when(expiration.days(), expiration.date())),
            removes_markers: expiration
                .is_some_and(|expiration| expiration.expired_object_delete_marker() == Some(true)),
            noncurrent_moves: rule
                .noncurrent_version_transitions()
                .iter()
                .map(|one| (one.noncurrent_days().unwrap_or(0), class_name(one.storage_class())))
                .collect(),
            noncurrent_expiry: rule
                .noncurrent_version_expiration()
                .map(|one| (one.noncurrent_days().unwrap_or(0), one.newer_noncurrent_versions())),
            aborts_uploads_after: rule
                .abort_incomplete_multipart_upload()
                .and_then(|abort| abort.days_after_initiation()),
        }
    }

    /// S3's form.
    ///
    /// # Errors
    /// Only when the SDK wants a field we always set.
    pub fn to_s3(&self) -> Result<s3::LifecycleRule, aws_sdk_s3::error::BuildError> {
        let mut rule = s3::LifecycleRule::builder()
            .id(&self.id)
            .status(if self.enabled { s3::ExpirationStatus::Enabled } else { s3::ExpirationStatus::Disabled })
            .filter(self.filter()?);
        for one in &self.moves {
            let class = s3::TransitionStorageClass::from(one.class.as_str());
            let transition = s3::Transition::builder().storage_class(class);
            rule = rule.transitions(transition.days(one.when.days()).build());
        }
        if let Some(When::Days(days)) = self.expiry {
            rule = rule.expiration(s3::LifecycleExpiration::builder().days(days).build());
        } else if self.removes_markers {
            let markers = s3::LifecycleExpiration::builder().expired_object_delete_marker(true);
            rule = rule.expiration(markers.build());
        }
        if let Some((days, newer)) = self.noncurrent_expiry {
            let expiry = s3::NoncurrentVersionExpiration::builder().noncurrent_days(days);
            rule = rule.noncurrent_version_expiration(expiry.set_newer_noncurrent_versions(newer).build());
        }
        if let Some(days) = self.aborts_uploads_after {
            let abort = s3::AbortIncompleteMultipartUpload::builder().days_after_initiation(days);
            rule = rule.abort_incomplete_multipart_upload(abort.build());
        }
        rule.build()
    }

    /// S3 wants one condition alone, or several within `And`.
    fn filter(&self) -> Result<s3::LifecycleRuleFilter, aws_sdk_s3::error::BuildError> {
        let filter = s3::LifecycleRuleFilter::builder();
        if self.tags.is_empty() && self.larger_than.is_none() && self.smaller_than.is_none() {
            return Ok(filter.prefix(&self.prefix).build());
        }
        let mut and = s3::LifecycleRuleAndOperator::builder()
            .prefix(&self.prefix)
            .set_object_size_greater_than(self.larger_than)
            .set_object_size_less_than(self.smaller_than);
        for (key, value) in &self.tags {
            and = and.tags(s3::Tag::builder().key(key).value(value).build()?);
        }
        Ok(filter.and(and.build()).build())
    }

    /// Whether an object below `folder` can be meant: prefixes are plain text, not folders.
    pub fn reaches(&self, folder: &str) -> bool {
        self.prefix.starts_with(folder) || folder.starts_with(&self.prefix)
    }

    /// Which objects, for a person.
    pub fn scope(&self) -> String {
        let mut text =
            if self.prefix.is_empty() { "every key".to_owned() } else { format!("{}*", self.prefix) };
        // Writing into a String cannot fail.
        for (key, value) in &self.tags {
            let _ = write!(text, " tagged {key}={value}");
        }
        if let Some(bytes) = self.larger_than {
            let _ = write!(text, " over {bytes} B");
        }
        if let Some(bytes) = self.smaller_than {
            let _ = write!(text, " under {bytes} B");
        }
        text
    }

    /// What it does, for a person.
    pub fn actions(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.moves.iter().map(|one| format!("{} {}", one.class, one.when.text())));
        parts.extend(self.expiry.iter().map(|when| format!("expires {}", when.text())));
        let noncurrent = |(days, class): &(i32, String)| format!("noncurrent to {class} after {days} d");
        parts.extend(self.noncurrent_moves.iter().map(noncurrent));
        parts.extend(self.noncurrent_expiry.iter().map(|(days, newer)| {
            let kept = newer.map(|newer| format!(" but {newer} newer")).unwrap_or_default();
            format!("noncurrent expire after {days} d{kept}")
        }));
        parts.extend(self.removes_markers.then(|| "lone delete markers go".to_owned()));
        parts.extend(self.aborts_uploads_after.map(|days| format!("unfinished uploads go after {days} d")));
        if !self.enabled {
            parts.push("(disabled)".to_owned());
        }
        parts.join(", ")
    }

    /// One line that says everything: rules are equal when it is.
    pub fn text(&self) -> String {
        format!("{}: {}: {}", self.id, self.scope(), self.actions())
    }
}

fn read_move(transition: &s3::Transition) -> Move {
    Move {
        when: when(transition.days(), transition.date()).unwrap_or(When::Days(0)),
        class: class_name(transition.storage_class()),
    }
}

fn when(days: Option<i32>, date: Option<&aws_smithy_types::DateTime>) -> Option<When> {
    days.map(When::Days).or_else(|| date.map(|date| When::Date(date.to_string())))
}

fn class_name(class: Option<&s3::TransitionStorageClass>) -> String {
    class.map_or("STANDARD", |class| class.as_str()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Rule {
        Rule {
            id: "logq-x".to_owned(),
            enabled: true,
            prefix: "archive/".to_owned(),
            tags: vec![("team".to_owned(), "sec".to_owned())],
            larger_than: Some(131_071),
            moves: vec![
                Move { when: When::Days(30), class: "GLACIER".to_owned() },
                Move { when: When::Days(180), class: "DEEP_ARCHIVE".to_owned() },
            ],
            expiry: Some(When::Days(2_557)),
            noncurrent_expiry: Some((30, Some(2))),
            ..Rule::default()
        }
    }

    #[test]
    fn a_rule_survives_the_form_s3_has_for_it() {
        assert_eq!(Rule::read(&full().to_s3().expect("builds")), full());
        let plain = Rule {
            id: "logq-y".to_owned(),
            enabled: true,
            prefix: "lake/".to_owned(),
            removes_markers: true,
            aborts_uploads_after: Some(3),
            ..Rule::default()
        };
        assert_eq!(Rule::read(&plain.to_s3().expect("builds")), plain);
    }

    #[test]
    #[allow(deprecated)]
    fn an_old_rule_with_its_prefix_beside_the_filter_is_read() {
        let old = s3::LifecycleRule::builder()
            .prefix("logs/")
            .status(s3::ExpirationStatus::Disabled)
            .expiration(s3::LifecycleExpiration::builder().days(9).build())
            .build()
            .expect("builds");
        let rule = Rule::read(&old);
        assert_eq!((rule.prefix.as_str(), rule.enabled, rule.expiry), ("logs/", false, Some(When::Days(9))));
    }

    #[test]
    fn prefixes_are_text_and_not_folders() {
        let rule = |prefix: &str| Rule { prefix: prefix.to_owned(), ..Rule::default() };
        assert!(rule("").reaches("lake/"));
        assert!(rule("la").reaches("lake/"));
        assert!(rule("lake/cloudtrail/event_date=2024").reaches("lake/"));
        assert!(!rule("lake2").reaches("lake/"));
        assert!(!rule("lake/x").reaches("lake/cloudtrail/"));
    }

    #[test]
    fn everything_a_rule_does_is_said() {
        let text = full().text();
        for part in ["archive/*", "team=sec", "over 131071 B", "GLACIER after 30 d", "expires after 2557 d"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

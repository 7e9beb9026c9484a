//! The difference between what a bucket has and what the policy asks for.

use super::OURS;
use super::bucket::{BucketError, Observed, put};
use super::danger::{Finding, Severity};
use super::limits::RULES_MAX;
use super::rule::Rule;
use aws_sdk_s3::Client;
use aws_sdk_s3::types as s3;
use serde::Serialize;
use thiserror::Error;

/// What is to be done about one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "do")]
pub enum Step {
    /// It is missing.
    Add {
        /// The rule in words.
        rule: String,
    },
    /// It is there but says something else.
    Change {
        /// What it says.
        from: String,
        /// What it is to say.
        to: String,
    },
    /// It is ours but the policy does not ask for it any more.
    Remove {
        /// The rule in words.
        rule: String,
    },
    /// It is as asked for.
    Keep {
        /// The rule in words.
        rule: String,
    },
    /// It is not ours.
    Foreign {
        /// The rule in words.
        rule: String,
    },
}

/// The plan for one bucket.
#[derive(Debug, Clone)]
pub struct BucketPlan {
    /// What the bucket has.
    pub observed: Observed,
    /// The steps, in the order of the ids.
    pub steps: Vec<Step>,
    /// The rules it will have: ours as asked for, foreign ones as they are.
    pub after: Vec<Rule>,
    wanted: Vec<Rule>,
}

/// Why a plan was not carried out.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// S3 failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Somebody changed the bucket since.
    #[error("the rules of bucket {bucket} changed since the plan was computed: plan again")]
    Changed {
        /// The bucket.
        bucket: String,
    },
    /// A rule cannot be written in S3's form.
    #[error("rule {rule} cannot be written")]
    Form {
        /// The rule's id.
        rule: String,
        /// What the SDK says.
        source: aws_sdk_s3::error::BuildError,
    },
    /// More rules than a bucket may have.
    #[error("bucket {bucket} would have {rules} rules and may have {RULES_MAX}: remove foreign ones")]
    TooMany {
        /// The bucket.
        bucket: String,
        /// How many.
        rules: usize,
    },
}

impl BucketPlan {
    /// Compares.
    pub fn new(observed: Observed, wanted: Vec<Rule>) -> BucketPlan {
        let present = observed.values();
        let mut steps = Vec::new();
        for rule in &wanted {
            let step = match present.iter().find(|one| one.id == rule.id) {
                Some(same) if same.text() == rule.text() => Step::Keep { rule: rule.text() },
                Some(other) => Step::Change { from: other.text(), to: rule.text() },
                None => Step::Add { rule: rule.text() },
            };
            steps.push(step);
        }
        let mut after = wanted.clone();
        for rule in present {
            if !rule.id.starts_with(OURS) {
                steps.push(Step::Foreign { rule: rule.text() });
                after.push(rule);
            } else if !wanted.iter().any(|one| one.id == rule.id) {
                steps.push(Step::Remove { rule: rule.text() });
            }
        }
        BucketPlan { observed, steps, after, wanted }
    }

    /// Whether there is anything to do.
    pub fn is_done(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::Keep { .. } | Step::Foreign { .. }))
    }

    /// Each difference as a finding.
    pub fn deviations(&self) -> Vec<Finding> {
        let finding = |code, rule: &str, message: String| Finding {
            severity: Severity::Error,
            code,
            bucket: self.observed.bucket.clone(),
            rule: Some(rule.split(": ").next().unwrap_or(rule).to_owned()),
            message,
        };
        self.steps
            .iter()
            .filter_map(|step| match step {
                Step::Add { rule } => {
                    Some(finding("missing-rule", rule, format!("not in the bucket: {rule}")))
                }
                Step::Change { from, to } => {
                    Some(finding("changed-rule", to, format!("is `{from}`, should be `{to}`")))
                }
                Step::Remove { rule } => {
                    Some(finding("stale-rule", rule, format!("the policy does not ask for it: {rule}")))
                }
                Step::Keep { .. } | Step::Foreign { .. } => None,
            })
            .collect()
    }

    /// Carries the plan out. Asks S3 once more just before: rules that changed since are not overwritten.
    ///
    /// # Errors
    /// When the bucket's rules changed, or S3 refuses.
    pub async fn apply(&self, client: &Client) -> Result<(), ApplyError> {
        if self.is_done() {
            return Ok(());
        }
        let bucket = &self.observed.bucket;
        let now = Observed::read(client, bucket).await?;
        if now.fingerprint() != self.observed.fingerprint() {
            return Err(ApplyError::Changed { bucket: bucket.clone() });
        }
        let mut rules: Vec<s3::LifecycleRule> = Vec::new();
        for rule in &self.wanted {
            let form = rule.to_s3();
            rules.push(form.map_err(|source| ApplyError::Form { rule: rule.id.clone(), source })?);
        }
        rules.extend(
            now.rules.iter().filter(|rule| !rule.id().unwrap_or_default().starts_with(OURS)).cloned(),
        );
        if rules.len() > RULES_MAX {
            return Err(ApplyError::TooMany { bucket: bucket.clone(), rules: rules.len() });
        }
        Ok(put(client, &now, rules).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, days: i32) -> Rule {
        let prefix = "a/".to_owned();
        Rule { id: id.to_owned(), enabled: true, prefix, aborts_uploads_after: Some(days), ..Rule::default() }
    }

    #[test]
    fn each_rule_gets_its_step_and_foreign_ones_stay() {
        let present = [rule("logq-same", 3), rule("logq-other", 3), rule("logq-old", 3), rule("theirs", 9)];
        let rules = present.iter().map(|rule| rule.to_s3().expect("builds")).collect();
        let observed = Observed { bucket: "b".to_owned(), rules, ..Observed::default() };
        let wanted = vec![rule("logq-same", 3), rule("logq-other", 4), rule("logq-new", 3)];
        let plan = BucketPlan::new(observed, wanted);
        let kinds: Vec<&str> = plan
            .steps
            .iter()
            .map(|step| match step {
                Step::Add { .. } => "add",
                Step::Change { .. } => "change",
                Step::Remove { .. } => "remove",
                Step::Keep { .. } => "keep",
                Step::Foreign { .. } => "foreign",
            })
            .collect();
        assert_eq!(kinds, ["keep", "change", "add", "remove", "foreign"]);
        assert!(!plan.is_done());
        let names: Vec<_> = plan.deviations().into_iter().map(|one| (one.code, one.rule)).collect();
        let named = |code, rule: &str| (code, Some(rule.to_owned()));
        assert_eq!(
            names,
            [
                named("changed-rule", "logq-other"),
                named("missing-rule", "logq-new"),
                named("stale-rule", "logq-old")
            ]
        );
        assert_eq!(plan.after.len(), 4);
    }

    #[test]
    fn the_fingerprint_follows_the_rules_and_not_their_order() {
        let of = |rules: &[Rule]| Observed {
            rules: rules.iter().map(|rule| rule.to_s3().expect("builds")).collect(),
            ..Observed::default()
        };
        let (one, two) = (rule("a", 1), rule("b", 2));
        assert_eq!(of(&[one.clone(), two.clone()]).fingerprint(), of(&[two, one.clone()]).fingerprint());
        assert_ne!(of(&[one]).fingerprint(), of(&[rule("a", 2)]).fingerprint());
    }
}

//! The files the lake's tables refer to: what no rule may take out of reach.

use super::policy::LakePolicy;
use super::rule::Rule;
use crate::storage::{StorageError, parse_location};
use deltalake::{DeltaTableBuilder, DeltaTableError};
use logq_schemas::tables;
use thiserror::Error;

/// Why the files cannot be named.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The lake is out of reach.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A table's log cannot be read.
    #[error("cannot read the log of table `{table}`")]
    Log {
        /// The table.
        table: &'static str,
        /// The table format's answer.
        source: Box<DeltaTableError>,
    },
}

/// Keys of every file of every table's current version, with their bytes.
#[derive(Debug, Default)]
pub struct LiveFiles {
    files: Vec<(String, i64)>,
}

impl LiveFiles {
    /// Reads the tables' logs; a table the lake does not have yet has no files.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub async fn read(policy: &LakePolicy) -> Result<LiveFiles, LiveError> {
        let mut live = LiveFiles::default();
        // Not through `Lake`: a check must do with credentials that can only read.
        deltalake::aws::register_handlers(None);
        for table in tables::ALL {
            let failed = |source| LiveError::Log { table: table.name, source: Box::new(source) };
            let url = parse_location(&format!("{}{}/", policy.root.url(), table.name))?;
            let mut delta = DeltaTableBuilder::from_url(url).map_err(failed)?.build().map_err(failed)?;
            match delta.load().await {
                Ok(()) => {}
                Err(DeltaTableError::NotATable(_) | DeltaTableError::InvalidTableLocation(_)) => continue,
                Err(error) => return Err(failed(error)),
            }
            let folder = format!("{}{}/", policy.root.prefix, table.name);
            let snapshot = delta.snapshot().map_err(failed)?;
            live.files.extend(
                snapshot.log_data().iter().map(|file| (format!("{folder}{}", file.path()), file.size())),
            );
        }
        Ok(live)
    }

    /// How many files a rule is about, and one of them.
    pub fn hit_by(&self, rule: &Rule) -> (usize, Option<&str>) {
        let mut hit = self.files.iter().filter(|(key, bytes)| {
            key.starts_with(&rule.prefix)
                && rule.larger_than.is_none_or(|more| *bytes > more)
                && rule.smaller_than.is_none_or(|less| *bytes < less)
        });
        let first = hit.next().map(|(key, _)| key.as_str());
        (usize::from(first.is_some()) + hit.count(), first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_rule_are_counted_and_one_is_named() {
        let live = LiveFiles {
            files: vec![
                ("lake/cloudtrail/event_date=2026-11-22/a.parquet".to_owned(), 10),
                ("lake/cloudtrail/event_date=2026-11-23/b.parquet".to_owned(), 200_000),
            ],
        };
        let rule =
            |prefix: &str, more| Rule { prefix: prefix.to_owned(), larger_than: more, ..Rule::default() };
        assert_eq!(live.hit_by(&rule("lake/", None)).0, 2);
        assert_eq!(live.hit_by(&rule("", Some(131_071))).0, 1);
        assert_eq!(live.hit_by(&rule("lake/vpc_flow/", None)), (0, None));
    }
}

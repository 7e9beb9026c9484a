//! When each restore was requested: `state/restores/<table>/event_date=YYYY-MM-DD.json` in the lake.
//!
//! S3 does not tell. The notes serve the time of arrival, and tell a file that was never restored from
//! one whose copy has expired; a lost note costs nothing else.

use super::Tier;
use crate::storage::{Lake, StorageError};
use chrono::{DateTime, NaiveDate, Utc};
use deltalake::{ObjectStoreError, Path};
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub at: DateTime<Utc>,
    /// How fast.
    pub tier: Tier,
    /// For how many days.
    pub days: i32,
}

/// The notes of a table, by location.
#[derive(Debug, Default)]
pub struct Notes {
    by_day: BTreeMap<NaiveDate, BTreeMap<String, Note>>,
}

fn path(table: &str, day: NaiveDate) -> Path {
    Path::from(format!("state/restores/{table}/event_date={day}.json"))
}

impl Notes {
    /// Reads the notes of some days.
    ///
    /// # Errors
    /// When the lake cannot be read. A note that is not readable counts as none.
    pub async fn read(
        lake: &Lake,
        table: &str,
        days: impl IntoIterator<Item = NaiveDate>,
    ) -> Result<Notes, StorageError> {
        let mut notes = Notes::default();
        for day in days {
            let path = path(table, day);
            let request =
                |source| StorageError::Request { location: format!("{}{path}", lake.url()), source };
            let bytes = match lake.store().get(&path).await {
                Ok(found) => found.bytes().await.map_err(request)?,
                Err(ObjectStoreError::NotFound { .. }) => continue,
                Err(source) => return Err(request(source)),
            };
            match serde_json::from_slice(&bytes) {
                Ok(read) => {
                    notes.by_day.insert(day, read);
                }
                Err(error) => tracing::warn!(path = %path, %error, "notes of a restore are not readable"),
            }
        }
        Ok(notes)
    }

    /// The note of a file.
    pub fn of(&self, day: NaiveDate, location: &str) -> Option<Note> {
        self.by_day.get(&day)?.get(location).copied()
    }

    /// Notes requests of one day and stores them.
    ///
    /// # Errors
    /// When the lake cannot be written.
    pub async fn add(
        &mut self,
        lake: &Lake,
        table: &str,
        day: NaiveDate,
        locations: impl IntoIterator<Item = String>,
        note: Note,
    ) -> Result<(), StorageError> {
        let notes = self.by_day.entry(day).or_default();
        notes.extend(locations.into_iter().map(|location| (location, note)));
        let path = path(table, day);
        let request = |source| StorageError::Request { location: format!("{}{path}", lake.url()), source };
        let text = serde_json::to_vec(notes).map_err(|error| {
            request(ObjectStoreError::Generic { store: "notes", source: Box::new(error) })
        })?;
        lake.store().put(&path, text.into()).await.map(drop).map_err(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notes_are_there_on_the_next_run() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let lake = Lake::open(directory.path().to_str().expect("UTF-8")).await.expect("opens");
        let day: NaiveDate = "2026-11-20".parse().expect("a date");
        let at: DateTime<Utc> = "2026-11-25T10:00:00Z".parse().expect("a time");
        let note = Note { at, tier: Tier::Bulk, days: 7 };
        let mut notes = Notes::read(&lake, "cloudtrail", [day]).await.expect("reads");
        notes.add(&lake, "cloudtrail", day, ["s3://b/a".to_owned()], note).await.expect("writes");
        let again = Notes::read(&lake, "cloudtrail", [day]).await.expect("reads");
        assert_eq!(again.of(day, "s3://b/a"), Some(note));
        assert_eq!(again.of(day, "s3://b/b"), None);
    }
}

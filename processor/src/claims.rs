//! Claims: which batch took which input objects in, decided before any row is written.
//!
//! A claim is a small JSON object `state/claims/<sequence>.json`, created with a conditional put,
//! that lists the input objects of one batch by content. Sequence numbers are shared by all
//! processors of a lake; each processor works under the name of its *shard*.
//!
//! Why every record appears once, whatever is killed when:
//! * Before it claims, a processor has read every earlier claim and leaves out the objects they
//!   list. Creating `<sequence>.json` succeeds for one processor only; the loser reads the winner's
//!   claim and tries the next number. So an object is in one claim at most.
//! * A table commit carries the Delta application transaction (`logq-processor/<shard>`, sequence).
//!   A shard works off its claims in order; a claim whose number a table already holds is not
//!   written to that table again.
//! * The `ingest` table is committed last: a claim it does not hold is finished. The list of objects is
//!   fixed in the claim, the list of files in [`crate::prepared`], so that finishing it adds what was
//!   begun and nothing else.
//! * A claim whose put was answered with an error may land later. Its number is the next one then, so
//!   the shard finds it before it claims again, and finishes it first.
//!
//! Claims older than [`KEEP`] that are committed are removed; their objects stay known through
//! `ingest`. The claim with the highest number is never removed: it keeps numbers from being given
//! twice, and shows a processor that slept through removals that claims are missing ([`News::gap`]).
//! So neither a wrong clock nor a long sleep costs a record; the time in [`KEEP`] only saves requests.

use crate::prepared;
use crate::storage::{Lake, StorageError, Store};
use bytes::Bytes;
use deltalake::{ObjectStoreError, Path};
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How long a committed claim is kept: so long that few processors ever miss one.
pub const KEEP: chrono::TimeDelta = chrono::TimeDelta::hours(24);

const FOLDER: &str = "state/claims";

/// One claimed input object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedObject {
    /// Where it was read.
    pub location: String,
    /// Identity of its content.
    pub object_id: String,
    /// Size as stored.
    pub stored_bytes: u64,
    /// When it was last written, µs since the epoch.
    pub last_modified: Option<i64>,
    /// ETag, where the store has one.
    pub etag: Option<String>,
}

/// One claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Number of the batch.
    pub sequence: i64,
    /// Shard that owns it.
    pub shard: String,
    /// Tells one's own claim from another's after an unclear answer.
    pub token: String,
    /// µs since the epoch; also the `ingest_time` of its rows, so that doing it again changes nothing.
    pub claimed_at: i64,
    /// The objects, in the order they are read.
    pub objects: Vec<ClaimedObject>,
}

/// Why claims cannot be read or made.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A claim is not readable.
    #[error("claim {location} is not valid: restore it, or remove it if its batch is in `ingest`")]
    Malformed {
        /// The claim's key.
        location: String,
        /// What the parser says.
        source: serde_json::Error,
    },
}

/// What an attempt to claim gave.
#[derive(Debug)]
pub enum Attempt {
    /// The claim is ours.
    Claimed(Claim),
    /// There are claims this processor has not seen; leave their objects out and try again.
    Behind(News),
}

/// Claims that appeared since the last look.
#[derive(Debug, Default)]
pub struct News {
    /// What is there, in order.
    pub claims: Vec<Claim>,
    /// Claims came and were removed since: their objects are known to `ingest` alone.
    pub gap: bool,
}

/// The claims of a lake, as far as this processor has seen them.
#[derive(Debug)]
pub struct Claims {
    lake: Lake,
    shard: String,
    seen: i64,
}

impl Claims {
    /// Reads all claims there are.
    ///
    /// # Errors
    /// When the store fails or a claim is malformed.
    pub async fn open(lake: &Lake, shard: &str) -> Result<(Claims, Vec<Claim>), ClaimError> {
        let mut claims = Claims::unread(lake, shard);
        let found = claims.news().await?;
        Ok((claims, found.claims))
    }

    /// The claims of a lake before any was read.
    pub fn unread(lake: &Lake, shard: &str) -> Claims {
        Claims { lake: lake.clone(), shard: shard.to_owned(), seen: -1 }
    }

    fn store(&self) -> &Store {
        self.lake.store()
    }

    fn failed(&self, path: &Path, source: ObjectStoreError) -> ClaimError {
        ClaimError::Storage(StorageError::Request { location: format!("{}{path}", self.lake.url()), source })
    }

    /// Claims that appeared since the last look. After an error the next look finds the same again.
    async fn news(&mut self) -> Result<News, ClaimError> {
        let folder = Path::from(FOLDER);
        let listing = if self.seen < 0 {
            self.store().list(Some(&folder))
        } else {
            self.store().list_with_offset(Some(&folder), &claim_path(self.seen))
        };
        let listed: Vec<_> = listing.try_collect().await.map_err(|source| self.failed(&folder, source))?;
        let mut sequences: Vec<i64> = listed.iter().filter_map(|meta| sequence_of(&meta.location)).collect();
        sequences.sort_unstable();
        let mut news = News::default();
        let mut next = self.seen + 1;
        for sequence in sequences {
            let claim = self.read(sequence).await?;
            news.gap |= sequence != next || claim.is_none();
            news.claims.extend(claim);
            next = sequence + 1;
        }
        self.seen = next - 1;
        Ok(news)
    }

    async fn read(&self, sequence: i64) -> Result<Option<Claim>, ClaimError> {
        let path = claim_path(sequence);
        let bytes = match self.store().get(&path).await {
            Ok(found) => found.bytes().await.map_err(|source| self.failed(&path, source))?,
            Err(ObjectStoreError::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(self.failed(&path, source)),
        };
        let location = || format!("{}{path}", self.lake.url());
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| ClaimError::Malformed { location: location(), source })
    }

    /// Tries to claim `objects` under the next number, not below `floor`: the highest number any table
    /// holds for this shard, so that numbers never repeat even after claims were removed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim(
        &mut self,
        objects: &[ClaimedObject],
        floor: i64,
        claimed_at: i64,
    ) -> Result<Attempt, ClaimError> {
        let news = self.news().await?;
        if news.gap || !news.claims.is_empty() {
            return Ok(Attempt::Behind(news));
        }
        let claim = Claim {
            sequence: self.seen.max(floor) + 1,
            shard: self.shard.clone(),
            token: token(&self.shard, claimed_at),
            claimed_at,
            objects: objects.to_vec(),
        };
        let path = claim_path(claim.sequence);
        let body = serde_json::to_vec(&claim)
            .map_err(|source| ClaimError::Malformed { location: path.to_string(), source })?;
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store().put_opts(&path, Bytes::from(body).into(), create).await {
            Ok(_) => {
                self.seen = claim.sequence;
                Ok(Attempt::Claimed(claim))
            }
            // The store client repeats a put whose answer was lost: the winner may be ourselves.
            Err(ObjectStoreError::AlreadyExists { .. } | ObjectStoreError::Precondition { .. }) => {
                let winner = self.read(claim.sequence).await?;
                self.seen = claim.sequence;
                let gap = winner.is_none();
                match winner {
                    Some(winner) if winner.token == claim.token => Ok(Attempt::Claimed(claim)),
                    winner => Ok(Attempt::Behind(News { claims: winner.into_iter().collect(), gap })),
                }
            }
            Err(source) => Err(self.failed(&path, source)),
        }
    }

    /// Removes a committed claim of this shard once it is older than [`KEEP`] and not the newest, with
    /// what was prepared for it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove_if_old(&self, claim: &Claim, now: i64) -> Result<bool, ClaimError> {
        let young = now - claim.claimed_at < KEEP.num_microseconds().unwrap_or(i64::MAX);
        if young || claim.sequence >= self.seen {
            return Ok(false);
        }
        for path in [prepared::path(claim.sequence), claim_path(claim.sequence)] {
            match self.store().delete(&path).await {
                Ok(()) | Err(ObjectStoreError::NotFound { .. }) => {}
                Err(source) => return Err(self.failed(&path, source)),
            }
        }
        Ok(true)
    }
}

/// Zero-padded, so that listings come in order of the numbers.
fn claim_path(sequence: i64) -> Path {
    Path::from(format!("{FOLDER}/{sequence:012}.json"))
}

fn sequence_of(path: &Path) -> Option<i64> {
    path.filename()?.strip_suffix(".json")?.parse().ok()
}

/// Unique per process and moment: random keys of the standard hasher over shard, process and time.
fn token(shard: &str, claimed_at: i64) -> String {
    use std::hash::BuildHasher;
    let keys = std::collections::hash_map::RandomState::new();
    format!("{:016x}", keys.hash_one((shard, std::process::id(), claimed_at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(id: &str) -> ClaimedObject {
        ClaimedObject {
            location: format!("/in/{id}"),
            object_id: id.to_owned(),
            stored_bytes: 1,
            last_modified: None,
            etag: None,
        }
    }

    async fn lake() -> (tempfile::TempDir, Lake) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let lake = Lake::open(directory.path().to_str().expect("UTF-8")).await.expect("opens");
        (directory, lake)
    }

    #[tokio::test]
    async fn g3_the_loser_of_a_number_learns_what_the_winner_took() {
        let (_directory, lake) = lake().await;
        let (mut one, _) = Claims::open(&lake, "one").await.expect("opens");
        let (mut two, _) = Claims::open(&lake, "two").await.expect("opens");
        let Attempt::Claimed(first) = one.claim(&[object("a")], -1, 10).await.expect("claims") else {
            unreachable!("nobody else has claimed");
        };
        assert_eq!(first.sequence, 0);
        let Attempt::Behind(news) = two.claim(&[object("a"), object("b")], -1, 11).await.expect("answers")
        else {
            unreachable!("number 0 is taken");
        };
        assert_eq!((news.claims, news.gap), (vec![first], false));
        let Attempt::Claimed(second) = two.claim(&[object("b")], -1, 12).await.expect("claims") else {
            unreachable!("number 1 is free");
        };
        assert_eq!((second.sequence, second.shard.as_str()), (1, "two"));
    }

    #[tokio::test]
    async fn g3_a_restart_reads_its_claims_again() {
        let (_directory, lake) = lake().await;
        let (mut claims, _) = Claims::open(&lake, "0").await.expect("opens");
        claims.claim(&[object("a")], 41, 10).await.expect("claims");
        let (_, found) = Claims::open(&lake, "0").await.expect("opens");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].sequence, 42);
        assert_eq!(found[0].objects, vec![object("a")]);
    }

    const OLD: i64 = 24 * 3_600 * 1_000_000;

    async fn claimed(claims: &mut Claims, id: &str) -> Claim {
        match claims.claim(&[object(id)], -1, 0).await.expect("claims") {
            Attempt::Claimed(claim) => claim,
            Attempt::Behind(news) => unreachable!("{news:?}"),
        }
    }

    #[tokio::test]
    async fn a_young_claim_is_kept_and_an_old_one_removed_unless_it_is_the_newest() {
        let (_directory, lake) = lake().await;
        let (mut claims, _) = Claims::open(&lake, "0").await.expect("opens");
        let (first, second) = (claimed(&mut claims, "a").await, claimed(&mut claims, "b").await);
        assert!(!claims.remove_if_old(&first, 1).await.expect("answers"));
        assert!(claims.remove_if_old(&first, OLD).await.expect("answers"));
        assert!(!claims.remove_if_old(&second, OLD).await.expect("answers"));
        assert_eq!(Claims::open(&lake, "0").await.expect("opens").1, [second]);
    }

    #[tokio::test]
    async fn g3_a_number_is_never_given_twice_after_claims_were_removed() {
        let (_directory, lake) = lake().await;
        let (mut one, _) = Claims::open(&lake, "one").await.expect("opens");
        for id in ["a", "b"] {
            let claim = claimed(&mut one, id).await;
            one.remove_if_old(&claim, OLD).await.expect("answers");
        }
        // A processor that is new to the lake must not start below the numbers `one` has passed.
        let (mut two, _) = Claims::open(&lake, "two").await.expect("opens");
        assert_eq!(claimed(&mut two, "c").await.sequence, 2);
        let Attempt::Behind(news) = one.claim(&[object("c")], 1, 0).await.expect("answers") else {
            unreachable!("`two` has claimed");
        };
        assert_eq!(news.claims[0].objects, [object("c")]);
    }

    #[tokio::test]
    async fn g3_a_processor_that_slept_through_removals_learns_that_claims_are_missing() {
        let (_directory, lake) = lake().await;
        let (mut sleeper, _) = Claims::open(&lake, "sleeper").await.expect("opens");
        let (mut one, _) = Claims::open(&lake, "one").await.expect("opens");
        let (first, second) = (claimed(&mut one, "a").await, claimed(&mut one, "b").await);
        assert!(one.remove_if_old(&first, OLD).await.expect("answers"));
        let Attempt::Behind(news) = sleeper.claim(&[object("a")], -1, 0).await.expect("answers") else {
            unreachable!("`one` has claimed");
        };
        assert_eq!((news.claims, news.gap), (vec![second], true));
    }
}

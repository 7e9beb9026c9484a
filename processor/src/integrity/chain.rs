//! The walk along one chain, from its newest digest to its oldest.
//!
//! A digest names the one before it with hash and signature, so the newest one with a valid signature
//! vouches for all that hang on it. What the walk holds between two digests is only what the newer one
//! says about the older.

use super::catalogue::Catalogue;
use super::digest::{ChainId, Digest, LogFile, digest_name};
use super::keys::PublicKeys;
use super::reading::{FoundDigest, read_digest, read_log};
use super::verdict::{Kind, Signature, Standing, Verdict};
use crate::storage::{Inputs, Place, StorageError};
use futures::StreamExt;

/// Log files read at the same time: enough to hide the latency of S3.
const READS: usize = 16;

/// A time a chain does not cover.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// Account of the chain.
    pub account: String,
    /// Region of the chain.
    pub region: String,
    /// Trail of the chain.
    pub trail: String,
    /// End of the digest before, as it is written there.
    pub from: String,
    /// Start of the digest after.
    pub to: String,
    /// What it means.
    pub reason: String,
}

/// What a digest says about the one before it.
struct Statement {
    index: Option<usize>,
    bucket: String,
    key: String,
    hash: Option<String>,
    signature: Option<String>,
    /// The digest that says so, and whether it is verified.
    by: String,
    trusted: bool,
}

/// What the newer neighbour left for the older one.
struct Newer {
    start: String,
    /// None when it begins the chain.
    statement: Option<Statement>,
}

/// A verified or refused digest, ready to judge its log files.
struct Judged {
    verdict: Verdict,
    digest: Option<Digest>,
}

/// What a walk needs.
pub struct Walk<'a> {
    /// Reader.
    pub inputs: &'a Inputs,
    /// Known keys.
    pub keys: &'a PublicKeys,
    /// Everything listed.
    pub catalogue: &'a mut Catalogue,
    /// Digests that end before this (µs) are not asked for.
    pub since: Option<i64>,
    /// Takes every verdict.
    pub verdicts: &'a mut dyn FnMut(Verdict),
    /// Gaps found.
    pub gaps: &'a mut Vec<Gap>,
}

impl Walk<'_> {
    /// Walks one chain; `members` are its listed digests, newest first. `progress` is called for each.
    pub async fn run(&mut self, chain: &ChainId, members: &[usize], progress: &dyn Fn()) {
        let mut newer: Option<Newer> = None;
        let mut left: Vec<usize> = members.to_vec();
        left.reverse();
        while let Some(index) = left.pop() {
            self.catalogue.note_listed(index);
            newer = self.member(chain, index, newer, &left).await;
            progress();
        }
        if let Some(statement) = newer.and_then(|newer| newer.statement) {
            self.absent(chain, &statement).await;
        }
    }

    /// Judges the first listed digest by itself, and its log files where they can be looked for; gives
    /// what it says.
    pub async fn one(&mut self, chain: &ChainId, with_logs: bool) -> Option<Digest> {
        let place = self.catalogue.candidates().first()?.place.clone();
        let found = match read_digest(self.inputs, &place).await {
            Ok(found) => found,
            Err(error) => {
                (self.verdicts)(unreadable(Kind::Digest, place.location(), &error).in_chain(chain));
                return None;
            }
        };
        let judged = self.judge(chain, 0, &place.location(), found, None);
        (self.verdicts)(judged.verdict.clone());
        let digest = judged.digest?;
        if with_logs {
            self.logs(chain, &judged.verdict, &digest).await;
        }
        Some(digest)
    }

    /// Judges one digest and its log files; gives what it says about the one before. `older` are the
    /// digests still to come.
    async fn member(
        &mut self,
        chain: &ChainId,
        index: usize,
        newer: Option<Newer>,
        older: &[usize],
    ) -> Option<Newer> {
        let place = self.catalogue.candidates().get(index)?.place.clone();
        let location = place.location();
        let found = match read_digest(self.inputs, &place).await {
            Ok(found) => found,
            Err(error) => {
                (self.verdicts)(unreadable(Kind::Digest, location, &error).in_chain(chain));
                return newer;
            }
        };
        let mut statement = newer.as_ref().and_then(|newer| newer.statement.as_ref());
        if let Some(said) = statement.filter(|said| said.index != Some(index)) {
            if said.index.is_some_and(|named| older.contains(&named)) {
                // The chain goes past this digest: it was put there.
                let reason = format!("it is not in its chain: {} names {} before it", said.by, said.key);
                let verdict = Verdict::new(Kind::Digest, location, Standing::Invalid).because(reason);
                (self.verdicts)(verdict.with_found(&found.found).in_chain(chain));
                return newer;
            }
            self.absent(chain, said).await;
            statement = None;
        }
        let judged = self.judge(chain, index, &location, found, statement);
        let trusted = judged.verdict.standing == Standing::Verified;
        (self.verdicts)(judged.verdict.clone());
        let digest = judged.digest.as_ref()?;
        if let Some(newer) = &newer {
            self.compare_times(chain, digest, newer, statement.is_some());
        }
        self.logs(chain, &judged.verdict, digest).await;
        Some(Newer {
            start: digest.digest_start_time.clone(),
            statement: previous(digest, self.catalogue, location, trusted),
        })
    }

    fn compare_times(&mut self, chain: &ChainId, digest: &Digest, newer: &Newer, linked: bool) {
        let reason = match (&newer.statement, linked) {
            (None, _) => "the chain begins anew: log file validation or logging was off",
            (Some(_), true) if newer.start > digest.digest_end_time => "the digests leave a time out",
            _ => return,
        };
        // A trail that is turned off and on within one second leaves no time out.
        if newer.start <= digest.digest_end_time {
            return;
        }
        self.gaps.push(Gap {
            account: chain.account.clone(),
            region: chain.region.clone(),
            trail: chain.trail.clone(),
            from: digest.digest_end_time.clone(),
            to: newer.start.clone(),
            reason: reason.to_owned(),
        });
    }

    /// The digest before is not among those listed: gone, unless it is older than what was asked for.
    async fn absent(&mut self, chain: &ChainId, said: &Statement) {
        let named = digest_name(&said.key);
        if let (Some(since), Some((_, time))) = (self.since, &named)
            && *time < since
        {
            return;
        }
        let place = self.catalogue.expected(&said.bucket, &said.key);
        let verdict = match self.look(&place).await {
            Some(Ok(found)) => Verdict::new(Kind::Digest, place.location(), Standing::Unverified)
                .because("it lies outside of what was listed, and the chain was not followed there: name its place too")
                .with_found(&found),
            Some(Err(error)) if !error.is_not_found() => unreadable(Kind::Digest, place.location(), &error),
            _ => Verdict::new(Kind::Digest, place.location(), Standing::Missing)
                .because("the digest after it names it, and it is gone: what it listed is not verified"),
        };
        let mut verdict = verdict.in_chain(chain);
        verdict.expected.clone_from(&said.hash);
        verdict.digest = Some(said.by.clone());
        (self.verdicts)(verdict);
    }

    /// Reads an object that was not listed, where that can help: a local folder was listed whole.
    async fn look(&self, place: &Place) -> Option<Result<super::reading::Found, StorageError>> {
        if matches!(place, Place::Bucket { .. }) && self.catalogue.is_local() {
            return None;
        }
        Some(read_log(self.inputs, place).await)
    }

    fn judge(
        &self,
        chain: &ChainId,
        index: usize,
        location: &str,
        found: FoundDigest,
        said: Option<&Statement>,
    ) -> Judged {
        let base = |standing| {
            let mut verdict = Verdict::new(Kind::Digest, location.to_owned(), standing)
                .with_found(&found.found)
                .in_chain(chain);
            verdict.expected = said.and_then(|said| said.hash.clone());
            verdict.digest = said.map(|said| said.by.clone());
            verdict
        };
        let (digest, sha256) = match (&found.digest, &found.found.sha256) {
            (Ok(digest), Ok(sha256)) => (digest.clone(), sha256),
            (Err(reason), _) | (_, Err(reason)) => {
                return Judged { verdict: base(Standing::Invalid).because(reason.clone()), digest: None };
            }
        };
        let (signature, refusal) = self.check(&digest, sha256, &found, said);
        let hash_holds = said
            .filter(|said| said.trusted)
            .and_then(|said| said.hash.as_ref())
            .map(|hash| hash.eq_ignore_ascii_case(sha256));
        let at_home = self.catalogue.find(&digest.digest_s3_bucket, &digest.digest_s3_object) == Some(index);
        let (standing, signature, reason) = match (signature, hash_holds) {
            _ if !at_home => {
                let home = format!("s3://{}/{}", digest.digest_s3_bucket, digest.digest_s3_object);
                let reason = format!(
                    "it was delivered as {home}: put it back, or say where that prefix was moved to with --moved"
                );
                (Standing::Invalid, signature, Some(reason))
            }
            (_, Some(false)) => {
                let reason = "the signed digest after it holds another hash of it".to_owned();
                (Standing::Invalid, signature, Some(reason))
            }
            (Signature::Invalid, _) => (Standing::Invalid, signature, refusal),
            (Signature::Valid, _) => (Standing::Verified, signature, None),
            (_, Some(true)) => (Standing::Verified, Signature::Vouched, None),
            _ => (Standing::Unverified, signature, refusal),
        };
        let mut verdict = base(standing).with_period(&digest);
        verdict.signature = Some(signature);
        verdict.reason = reason;
        Judged { verdict, digest: Some(digest) }
    }

    /// Checks the digest's own signature, or the copy of it in the digest after it.
    fn check(
        &self,
        digest: &Digest,
        sha256: &str,
        found: &FoundDigest,
        said: Option<&Statement>,
    ) -> (Signature, Option<String>) {
        check_signature(self.keys, digest, sha256, found, said.and_then(|said| said.signature.as_deref()))
    }

    async fn logs(&mut self, chain: &ChainId, by: &Verdict, digest: &Digest) {
        let mut places = Vec::with_capacity(digest.log_files.len());
        for file in &digest.log_files {
            let place = match self.catalogue.find(&file.s3_bucket, &file.s3_object) {
                Some(index) => {
                    self.catalogue.note_listed(index);
                    self.catalogue.candidates().get(index).map(|one| one.place.clone())
                }
                None => None,
            };
            let expected = self.catalogue.expected(&file.s3_bucket, &file.s3_object);
            let gone =
                place.is_none() && self.catalogue.is_local() && matches!(expected, Place::Bucket { .. });
            places.push((file, place.unwrap_or(expected), gone));
        }
        let inputs = self.inputs;
        let mut reads = futures::stream::iter(places)
            .map(|(file, place, gone)| async move {
                let read = if gone { None } else { Some(read_log(inputs, &place).await) };
                (file, place, read)
            })
            .buffered(READS);
        while let Some((file, place, read)) = reads.next().await {
            let verdict = judge_log(file, place.location(), read, by);
            (self.verdicts)(verdict.in_chain(chain).with_period(digest));
        }
    }
}

/// What a digest says about the one before it; none when it begins the chain.
fn previous(digest: &Digest, catalogue: &Catalogue, by: String, trusted: bool) -> Option<Statement> {
    let key = digest.previous_digest_s3_object.clone()?;
    let bucket = digest.previous_digest_s3_bucket.clone().unwrap_or_default();
    Some(Statement {
        index: catalogue.find(&bucket, &key),
        bucket,
        key,
        hash: digest.previous_digest_hash_value.clone(),
        signature: digest.previous_digest_signature.clone(),
        by,
        trusted,
    })
}

/// Checks a digest's signature: its own, else `copy`.
pub(super) fn check_signature(
    keys: &PublicKeys,
    digest: &Digest,
    sha256: &str,
    found: &FoundDigest,
    copy: Option<&str>,
) -> (Signature, Option<String>) {
    let Some(signature) = found.signing.signature.as_deref().or(copy) else {
        let reason = "its signature is lost with the object's metadata: copy objects with their metadata, \
            or put what `aws s3api head-object` prints beside it as .metadata.json";
        return (Signature::Absent, Some(reason.to_owned()));
    };
    let Some(key) = keys.find(&digest.digest_public_key_fingerprint) else {
        let reason = format!(
            "public key {} is not known here: fetch it with `aws cloudtrail list-public-keys` in the Region of the chain",
            digest.digest_public_key_fingerprint
        );
        return (Signature::NoKey, Some(reason));
    };
    match digest.check(sha256, signature, key) {
        Ok(()) => (Signature::Valid, None),
        Err(error) => (Signature::Invalid, Some(error.to_string())),
    }
}

/// The verdict on a log file under the verdict on its digest. `read` is none where it cannot be.
pub(super) fn judge_log(
    file: &LogFile,
    location: String,
    read: Option<Result<super::reading::Found, StorageError>>,
    by: &Verdict,
) -> Verdict {
    let gone = || {
        Verdict::new(Kind::Log, location.clone(), Standing::Missing)
            .because("its digest lists it, and it is gone")
    };
    let mut verdict = match read {
        None => gone(),
        Some(Err(error)) if error.is_not_found() => gone(),
        Some(Err(error)) => unreadable(Kind::Log, location, &error),
        Some(Ok(found)) => {
            let same = found.sha256.as_ref().is_ok_and(|hash| hash.eq_ignore_ascii_case(&file.hash_value));
            let verdict = |standing| Verdict::new(Kind::Log, location.clone(), standing).with_found(&found);
            match (&found.sha256, same, by.standing) {
                _ if file.hash_algorithm != "SHA-256" => verdict(Standing::Unverified)
                    .because(format!("hash algorithm `{}` is not SHA-256", file.hash_algorithm)),
                (Ok(_), true, Standing::Verified) => verdict(Standing::Verified),
                (Ok(_), true, _) => {
                    let why = by.reason.as_deref().unwrap_or("unknown");
                    verdict(Standing::Unverified)
                        .because(format!("its digest is {}: {why}", by.standing.as_str()))
                }
                (Err(reason), ..) => verdict(Standing::Invalid).because(reason.clone()),
                (Ok(_), false, _) => {
                    verdict(Standing::Invalid).because("its content is not what its digest says")
                }
            }
        }
    };
    verdict.expected = Some(file.hash_value.clone());
    verdict.digest = Some(by.location.clone());
    verdict.signature = by.signature;
    verdict
}

/// The verdict on an object that is there, or may be, and cannot be read.
pub(super) fn unreadable(kind: Kind, location: String, error: &StorageError) -> Verdict {
    let reason = format!("it cannot be read: {}", crate::causes::describe(error));
    Verdict::new(kind, location, Standing::Unverified).because(reason)
}

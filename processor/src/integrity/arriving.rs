//! Digests that come in with a batch: each is checked as it comes, with the log files it lists and the
//! digest before it, as far as its public key is configured.
//!
//! A digest that comes alone cannot show that a later one is gone; [`super::verify`] does.

use super::catalogue::{Catalogue, Moves};
use super::chain::{Walk, unreadable};
use super::digest::{Digest, digest_name};
use super::keys::PublicKeys;
use super::reading::read_log;
use super::verdict::{Kind, Standing, Verdict};
use crate::claims::ClaimedObject;
use crate::storage::{Candidate, Inputs, Place};

/// Verdicts on the digests among `objects` and on what they list.
pub async fn check<'o>(
    inputs: &Inputs,
    keys: &PublicKeys,
    objects: impl Iterator<Item = &'o ClaimedObject>,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for object in objects {
        if let Some((chain, _)) = digest_name(&object.location) {
            let candidate = Candidate {
                place: Place::from_location(&object.location),
                stored_bytes: object.stored_bytes,
                last_modified: object.last_modified,
                etag: object.etag.clone(),
            };
            let (moves, reachable) = local_root(inputs, &candidate.place).await;
            let mut catalogue = Catalogue::new(vec![candidate], moves);
            let mut gaps = Vec::new();
            let mut walk = Walk {
                inputs,
                keys,
                catalogue: &mut catalogue,
                since: None,
                verdicts: &mut |verdict| verdicts.push(verdict),
                gaps: &mut gaps,
            };
            if let Some(digest) = walk.one(&chain, reachable).await
                && reachable
                && let Some(verdict) = before(inputs, &catalogue, &digest, &object.location).await
            {
                verdicts.push(verdict.in_chain(&chain));
            }
        }
    }
    verdicts
}

/// Where the bucket's root would be for a local copy that kept its folders; and whether what a digest
/// lists can be looked for at all.
async fn local_root(inputs: &Inputs, place: &Place) -> (Moves, bool) {
    if matches!(place, Place::Bucket { .. }) {
        return (Moves::default(), true);
    }
    let Ok(found) = super::reading::read_digest(inputs, place).await else {
        return (Moves::default(), false);
    };
    let Ok(digest) = found.digest else { return (Moves::default(), false) };
    let location = place.location();
    let key = digest.digest_s3_object.as_str();
    let tail_at = key.find("AWSLogs/").unwrap_or(0);
    let (prefix, tail) = key.split_at(tail_at);
    match location.strip_suffix(tail).map(|root| root.trim_end_matches('/')) {
        Some(root) if !root.is_empty() => {
            let from = format!("s3://{}/{prefix}", digest.digest_s3_bucket);
            let moves = Moves::parse(&[format!("{}={root}", from.trim_end_matches('/'))]);
            (moves.unwrap_or_default(), true)
        }
        _ => (Moves::default(), false),
    }
}

/// A verdict on the digest before, when it is not what this one says.
async fn before(inputs: &Inputs, catalogue: &Catalogue, digest: &Digest, by: &str) -> Option<Verdict> {
    let key = digest.previous_digest_s3_object.as_ref()?;
    let bucket = digest.previous_digest_s3_bucket.as_ref()?;
    let place = catalogue.expected(bucket, key);
    let hash = digest.previous_digest_hash_value.clone()?;
    let mut verdict = match read_log(inputs, &place).await {
        Ok(found) if found.sha256.as_ref().is_ok_and(|found| found.eq_ignore_ascii_case(&hash)) => {
            return None;
        }
        Ok(found) => Verdict::new(Kind::Digest, place.location(), Standing::Invalid)
            .because("the digest after it holds another hash of it")
            .with_found(&found),
        Err(error) if error.is_not_found() => Verdict::new(Kind::Digest, place.location(), Standing::Missing)
            .because("the digest after it names it, and it is gone: what it listed is not verified"),
        Err(error) => unreadable(Kind::Digest, place.location(), &error),
    };
    verdict.expected = Some(hash);
    verdict.digest = Some(by.to_owned());
    Some(verdict)
}

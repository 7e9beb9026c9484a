//! Chains made here, with keys made here, and everything an attacker or a broken copy does to them.

use super::catalogue::Moves;
use super::digest::Digest;
use super::keys::PublicKeys;
use super::verdict::{Kind, Signature, Standing, Verdict};
use super::verify::{Period, Totals, verify};
use crate::discover::listing;
use crate::storage::Inputs;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

const BUCKET: &str = "org-trail";
const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
const FINGERPRINT: &str = "31e8b5433410dfb61a9dc45cc65b22ff";

fn start() -> DateTime<Utc> {
    "2026-11-22T10:00:00Z".parse().expect("a time")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A bucket on local disk with one chain of hourly digests, two log files each.
struct Bucket {
    root: tempfile::TempDir,
    key: KeyPair,
    digests: Vec<String>,
    logs: Vec<String>,
    previous: Option<(String, String, String)>,
}

impl Bucket {
    fn new(hours: usize) -> Bucket {
        let mut bucket = Bucket {
            root: tempfile::tempdir().expect("temporary directory"),
            key: KeyPair::generate(KeySize::Rsa2048).expect("a key"),
            digests: Vec::new(),
            logs: Vec::new(),
            previous: None,
        };
        for hour in 0..hours {
            bucket.hour(hour);
        }
        bucket
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.path().join(key)
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.path(key);
        std::fs::create_dir_all(path.parent().expect("has one")).expect("makes folders");
        std::fs::write(path, bytes).expect("writes");
    }

    fn log(&mut self, time: DateTime<Utc>) -> (String, String) {
        let content =
            json!({"Records": [{"eventID": time.to_rfc3339(), "eventVersion": "1.08"}]}).to_string();
        let key = format!(
            "AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/11/22/{ACCOUNT}_CloudTrail_{REGION}_{}_AbCdEfGh01234567.json.gz",
            time.format("%Y%m%dT%H%MZ")
        );
        self.put(&key, &gzip(content.as_bytes()));
        self.logs.push(key.clone());
        (key, sha256(content.as_bytes()))
    }

    fn hour(&mut self, hour: usize) {
        let from = start() + TimeDelta::hours(i64::try_from(hour).expect("few"));
        self.digest(from, from + TimeDelta::hours(1), "");
    }

    fn digest(&mut self, from: DateTime<Utc>, to: DateTime<Utc>, suffix: &str) {
        let stamp = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let files: Vec<_> = [5, 35]
            .map(|minutes| self.log(from + TimeDelta::minutes(minutes)))
            .into_iter()
            .map(|(key, hash)| {
                json!({"s3Bucket": BUCKET, "s3Object": key, "hashValue": hash, "hashAlgorithm": "SHA-256",
                    "newestEventTime": stamp(to), "oldestEventTime": stamp(from)})
            })
            .collect();
        let key = format!(
            "AWSLogs/{ACCOUNT}/CloudTrail-Digest/{REGION}/2026/11/22/{ACCOUNT}_CloudTrail-Digest_{REGION}_org_trail_us-east-1_{}{suffix}.json.gz",
            to.format("%Y%m%dT%H%M%SZ")
        );
        let (before, hash, signature) = match self.previous.take() {
            Some((key, hash, signature)) => (Some(key), Some(hash), Some(signature)),
            None => (None, None, None),
        };
        let content = json!({
            "awsAccountId": ACCOUNT, "digestStartTime": stamp(from), "digestEndTime": stamp(to),
            "digestS3Bucket": BUCKET, "digestS3Object": key, "digestPublicKeyFingerprint": FINGERPRINT,
            "digestSignatureAlgorithm": "SHA256withRSA", "newestEventTime": stamp(to), "oldestEventTime": stamp(from),
            "previousDigestS3Bucket": before.as_ref().map(|_| BUCKET), "previousDigestS3Object": before,
            "previousDigestHashValue": hash, "previousDigestHashAlgorithm": before.as_ref().map(|_| "SHA-256"),
            "previousDigestSignature": signature, "logFiles": files,
        })
        .to_string();
        let signature = self.sign(&self.key, &content);
        self.previous = Some((key.clone(), sha256(content.as_bytes()), signature.clone()));
        self.store(&key, &content, &signature);
        self.digests.push(key);
    }

    fn sign(&self, key: &KeyPair, content: &str) -> String {
        let digest: Digest = serde_json::from_str(content).expect("a digest");
        let text = digest.signed_text(&sha256(content.as_bytes()));
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).expect("signs");
        hex(&signature)
    }

    fn store(&self, key: &str, content: &str, signature: &str) {
        self.put(key, &gzip(content.as_bytes()));
        let metadata = json!({"Metadata": {"signature": signature, "signature-algorithm": "SHA256withRSA"}});
        self.put(&format!("{key}.metadata.json"), metadata.to_string().as_bytes());
    }

    fn content(&self, key: &str) -> String {
        use std::io::Read;
        let stored = std::fs::read(self.path(key)).expect("is there");
        let mut text = String::new();
        flate2::read::GzDecoder::new(stored.as_slice()).read_to_string(&mut text).expect("inflates");
        text
    }

    fn remove(&self, key: &str) {
        std::fs::remove_file(self.path(key)).expect("is there");
    }

    fn forget_metadata(&self, key: &str) {
        self.remove(&format!("{key}.metadata.json"));
    }

    fn keys(&self, key: &KeyPair) -> PublicKeys {
        let file = self.root.path().join("keys.list");
        let der = key.public_key().as_der().expect("encodes");
        let list = json!({"PublicKeyList": [{"Fingerprint": FINGERPRINT, "Value": STANDARD.encode(der.as_ref()),
            "ValidityStartTime": "2026-01-01T00:00:00+00:00", "ValidityEndTime": "2027-01-01T00:00:00+00:00"}]});
        std::fs::write(&file, list.to_string()).expect("writes");
        PublicKeys::load(&file).expect("keys")
    }

    async fn verify(&self) -> Outcome {
        self.verify_with(&self.keys(&self.key), Period { now: now(), ..Period::default() }, &[]).await
    }

    async fn verify_with(&self, keys: &PublicKeys, period: Period, moves: &[String]) -> Outcome {
        let inputs = Inputs::default();
        let listing = listing::list(&inputs, self.root.path().to_str().expect("UTF-8"), None).await;
        let moves = Moves::parse(moves).expect("moves");
        let mut verdicts = Vec::new();
        let mut take = |verdict| verdicts.push(verdict);
        let totals = verify(&inputs, listing.candidates, moves, keys, period, &mut take, &|_| ()).await;
        Outcome { totals, verdicts }
    }
}

/// A day after everything was delivered.
fn now() -> i64 {
    (start() + TimeDelta::hours(40)).timestamp_micros()
}

struct Outcome {
    totals: Totals,
    verdicts: Vec<Verdict>,
}

impl Outcome {
    fn of(&self, key: &str) -> &Verdict {
        let mut found = self
            .verdicts
            .iter()
            .filter(|one| Path::new(&one.location).ends_with(key) || one.location.ends_with(key));
        let verdict = found.next().unwrap_or_else(|| unreachable!("no verdict on {key}"));
        assert!(found.next().is_none(), "two verdicts on {key}");
        verdict
    }

    fn standing(&self, key: &str) -> Standing {
        self.of(key).standing
    }

    /// Digests verified, log files verified, findings.
    fn figures(&self) -> (u64, u64, u64) {
        let count = |kind| self.totals.count(kind, Standing::Verified);
        (count(Kind::Digest), count(Kind::Log), self.totals.findings)
    }
}

#[tokio::test]
async fn g7_an_untouched_chain_is_verified_whole() {
    let bucket = Bucket::new(4);
    let outcome = bucket.verify().await;
    assert_eq!(outcome.figures(), (4, 8, 0), "{:#?}", outcome.verdicts);
    assert!(outcome.totals.gaps.is_empty());
    assert_eq!(outcome.of(&bucket.digests[2]).signature, Some(Signature::Valid));
    assert_eq!(outcome.of(&bucket.logs[0]).trail.as_deref(), Some("org_trail"));
    // The verdict joins what was ingested.
    let stored = std::fs::read(bucket.path(&bucket.logs[0])).expect("is there");
    let id = crate::stored::object_id(&stored);
    assert_eq!(outcome.of(&bucket.logs[0]).object_id, Some(id));
}

#[tokio::test]
async fn g7_a_changed_log_file_is_invalid_and_a_repacked_one_is_not() {
    let bucket = Bucket::new(2);
    bucket.put(&bucket.logs[1], &gzip(b"{\"Records\":[]}"));
    let same = bucket.content(&bucket.logs[2]);
    bucket.put(&bucket.logs[2], same.as_bytes());
    let mut cut = std::fs::read(bucket.path(&bucket.logs[3])).expect("is there");
    cut.truncate(cut.len() / 2);
    bucket.put(&bucket.logs[3], &cut);
    let outcome = bucket.verify().await;
    assert_eq!(outcome.standing(&bucket.logs[1]), Standing::Invalid);
    assert_eq!(outcome.standing(&bucket.logs[2]), Standing::Verified, "only its compression changed");
    assert_eq!(outcome.standing(&bucket.logs[3]), Standing::Invalid);
    assert_eq!(outcome.figures(), (2, 2, 2));
}

#[tokio::test]
async fn g7_a_deleted_log_file_is_missing_and_an_added_one_unverified() {
    let mut bucket = Bucket::new(2);
    bucket.remove(&bucket.logs[0]);
    let (added, _) = bucket.log(start() + TimeDelta::minutes(50));
    let outcome = bucket.verify().await;
    assert_eq!(outcome.standing(&bucket.logs[0]), Standing::Missing);
    assert_eq!(outcome.standing(&added), Standing::Unverified);
    assert!(outcome.of(&added).reason.as_deref().is_some_and(|reason| reason.contains("no digest lists it")));
    assert_eq!(outcome.figures(), (2, 3, 2));
}

#[tokio::test]
async fn g7_a_deleted_digest_is_missing_and_takes_its_files_with_it() {
    let bucket = Bucket::new(3);
    bucket.remove(&bucket.digests[1]);
    let outcome = bucket.verify().await;
    assert_eq!(outcome.standing(&bucket.digests[1]), Standing::Missing);
    for log in &bucket.logs[2..4] {
        assert_eq!(outcome.standing(log), Standing::Unverified, "{log}");
    }
    assert_eq!(outcome.figures(), (2, 4, 3));
}

#[tokio::test]
async fn g7_a_chain_cut_at_either_end_is_a_finding() {
    let bucket = Bucket::new(3);
    bucket.remove(&bucket.digests[0]);
    let outcome = bucket.verify().await;
    assert_eq!(outcome.standing(&bucket.digests[0]), Standing::Missing, "the oldest");
    // Asked for the time since then alone, nothing is missing.
    let since = Some((start() + TimeDelta::minutes(90)).timestamp_micros());
    let period = Period { since, until: None, now: now() };
    let outcome = bucket.verify_with(&bucket.keys(&bucket.key), period, &[]).await;
    assert_eq!(outcome.figures(), (2, 4, 0));

    let bucket = Bucket::new(3);
    bucket.remove(&bucket.digests[2]);
    let outcome = bucket.verify().await;
    let reason = outcome.of(&bucket.logs[5]).reason.clone().unwrap_or_default();
    assert!(reason.contains("overdue"), "{reason}");
    assert_eq!(outcome.figures(), (2, 4, 2));
    // An hour later, the digest was not due yet.
    let soon = (start() + TimeDelta::hours(3)).timestamp_micros();
    let period = Period { now: soon, ..Period::default() };
    let outcome = bucket.verify_with(&bucket.keys(&bucket.key), period, &[]).await;
    assert_eq!((outcome.totals.pending, outcome.totals.findings), (2, 0));
}

#[tokio::test]
async fn g7_a_replaced_digest_is_invalid_whoever_signed_it() {
    let bucket = Bucket::new(3);
    // Its list without one file, signed by a stranger under the true fingerprint.
    let mut forged: serde_json::Value =
        serde_json::from_str(&bucket.content(&bucket.digests[1])).expect("JSON");
    forged["logFiles"].as_array_mut().expect("a list").pop();
    let forged = forged.to_string();
    let stranger = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    bucket.store(&bucket.digests[1], &forged, &bucket.sign(&stranger, &forged));
    let outcome = bucket.verify().await;
    assert_eq!(outcome.standing(&bucket.digests[1]), Standing::Invalid);
    assert_eq!(outcome.of(&bucket.digests[1]).signature, Some(Signature::Invalid));
    assert_eq!(outcome.standing(&bucket.logs[2]), Standing::Unverified, "only the forged digest lists it");
    assert_eq!(outcome.standing(&bucket.digests[0]), Standing::Verified);
    // Even with the true key, the digest after it holds another hash.
    bucket.store(&bucket.digests[1], &forged, &bucket.sign(&bucket.key, &forged));
    assert_eq!(bucket.verify().await.standing(&bucket.digests[1]), Standing::Invalid);
}

#[tokio::test]
async fn g7_an_older_digest_under_another_name_is_invalid() {
    let bucket = Bucket::new(3);
    let older = bucket.content(&bucket.digests[0]);
    let signature = bucket.sign(&bucket.key, &older);
    bucket.store(&bucket.digests[1], &older, &signature);
    let outcome = bucket.verify().await;
    assert_eq!(outcome.standing(&bucket.digests[1]), Standing::Invalid);
    let reason = outcome.of(&bucket.digests[1]).reason.clone().unwrap_or_default();
    assert!(reason.contains("delivered as s3://org-trail/"), "{reason}");
}

#[tokio::test]
async fn g7_a_digest_put_into_a_chain_is_found() {
    let mut bucket = Bucket::new(2);
    let chain = bucket.previous.take();
    // Signed with the true key, between the two hours, known to neither.
    let at = start() + TimeDelta::minutes(90);
    bucket.digest(at, at + TimeDelta::minutes(10), "");
    bucket.previous = chain;
    let added = bucket.digests[2].clone();
    let outcome = bucket.verify().await;
    assert_eq!(outcome.standing(&added), Standing::Invalid);
    assert!(outcome.of(&added).reason.as_deref().is_some_and(|reason| reason.contains("not in its chain")));
    assert_eq!(outcome.totals.count(Kind::Digest, Standing::Verified), 2);
}

#[tokio::test]
async fn g7_without_the_right_key_nothing_is_verified() {
    let bucket = Bucket::new(2);
    let stranger = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let period = Period { now: now(), ..Period::default() };
    let wrong = bucket.verify_with(&bucket.keys(&stranger), period, &[]).await;
    assert_eq!(wrong.totals.count(Kind::Digest, Standing::Invalid), 2);
    let none = bucket.verify_with(&PublicKeys::default(), period, &[]).await;
    assert_eq!(none.totals.count(Kind::Digest, Standing::Unverified), 2);
    assert_eq!(none.of(&bucket.digests[0]).signature, Some(Signature::NoKey));
    assert_eq!((wrong.figures().1, none.figures().1), (0, 0));
    // A changed file is invalid all the same.
    bucket.put(&bucket.logs[0], &gzip(b"{}"));
    let none = bucket.verify_with(&PublicKeys::default(), period, &[]).await;
    assert_eq!(none.standing(&bucket.logs[0]), Standing::Invalid);
}

#[tokio::test]
async fn g7_lost_metadata_is_made_up_for_by_the_next_digest_but_for_the_newest() {
    let bucket = Bucket::new(3);
    bucket.forget_metadata(&bucket.digests[0]);
    bucket.forget_metadata(&bucket.digests[1]);
    assert_eq!(bucket.verify().await.figures(), (3, 6, 0));
    bucket.forget_metadata(&bucket.digests[2]);
    let outcome = bucket.verify().await;
    assert_eq!(outcome.of(&bucket.digests[2]).signature, Some(Signature::Absent));
    assert_eq!(outcome.standing(&bucket.digests[2]), Standing::Unverified);
    // Its copy of the signature before it proves that one, whoever vouches for the copy.
    assert_eq!(outcome.figures(), (2, 4, 3));
    // A bit of a signature changed is no signature.
    let metadata = json!({"Metadata": {"signature": "00ff", "signature-algorithm": "SHA256withRSA"}});
    bucket.put(&format!("{}.metadata.json", bucket.digests[2]), metadata.to_string().as_bytes());
    assert_eq!(bucket.verify().await.standing(&bucket.digests[2]), Standing::Invalid);
}

#[tokio::test]
async fn g7_a_chain_that_begins_anew_leaves_a_gap() {
    let mut bucket = Bucket::new(2);
    bucket.previous = None;
    bucket.hour(5);
    bucket.hour(6);
    let outcome = bucket.verify().await;
    assert_eq!(outcome.figures(), (4, 8, 1));
    let gap = &outcome.totals.gaps[0];
    assert_eq!((gap.from.as_str(), gap.to.as_str()), ("2026-11-22T12:00:00Z", "2026-11-22T15:00:00Z"));
    // A linked digest that leaves an hour out is one too.
    bucket.hour(8);
    assert_eq!(bucket.verify().await.totals.gaps.len(), 2);
}

#[tokio::test]
async fn g7_backfill_digests_are_a_chain_of_their_own() {
    let mut bucket = Bucket::new(2);
    bucket.previous = None;
    let at = start() - TimeDelta::hours(9);
    bucket.digest(at, at + TimeDelta::hours(1), "_backfill");
    bucket.digest(at + TimeDelta::hours(1), at + TimeDelta::hours(2), "_backfill");
    let outcome = bucket.verify().await;
    assert_eq!((outcome.totals.chains, outcome.figures()), (2, (4, 8, 0)), "{:#?}", outcome.verdicts);
}

#[tokio::test]
async fn g7_moved_objects_are_found_where_they_are_said_to_be() {
    let bucket = Bucket::new(2);
    let moved = bucket.root.path().join("archive/2026");
    std::fs::create_dir_all(&moved).expect("makes folders");
    std::fs::rename(bucket.path("AWSLogs"), moved.join("AWSLogs")).expect("moves");
    let period = Period { now: now(), ..Period::default() };
    let keys = bucket.keys(&bucket.key);
    let moves = [format!("s3://{BUCKET}={}", moved.display())];
    assert_eq!(bucket.verify_with(&keys, period, &moves).await.figures(), (2, 4, 0));
    // Under another name, a digest is not the one that was delivered.
    let name = bucket.digests[0].replace("T110000Z", "T110001Z");
    for end in ["", ".metadata.json"] {
        let path = |key: &str| moved.join(format!("{key}{end}"));
        std::fs::rename(path(&bucket.digests[0]), path(&name)).expect("renames");
    }
    let outcome = bucket.verify_with(&keys, period, &moves).await;
    assert_ne!(outcome.standing(&name), Standing::Verified);
    assert_eq!(outcome.standing(&bucket.digests[0]), Standing::Missing);
}

#[tokio::test]
async fn g7_digests_are_checked_as_they_come_in() {
    use crate::claims::ClaimedObject;
    let bucket = Bucket::new(3);
    bucket.put(&bucket.logs[3], &gzip(b"{\"Records\":[]}"));
    bucket.remove(&bucket.digests[0]);
    let object = |key: &String| ClaimedObject {
        location: bucket.path(key).display().to_string(),
        object_id: "00".to_owned(),
        stored_bytes: 1,
        last_modified: None,
        etag: None,
    };
    let given = [object(&bucket.digests[1]), object(&bucket.logs[0])];
    let keys = bucket.keys(&bucket.key);
    let verdicts = super::arriving::check(&Inputs::default(), &keys, given.iter()).await;
    let standings: Vec<_> = verdicts.iter().map(|one| (one.kind, one.standing)).collect();
    assert_eq!(
        standings,
        [
            (Kind::Digest, Standing::Verified),
            (Kind::Log, Standing::Verified),
            (Kind::Log, Standing::Invalid),
            (Kind::Digest, Standing::Missing),
        ],
        "{verdicts:#?}"
    );
}

#[test]
fn keys_that_are_none_are_refused_with_the_command_that_prints_them() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let error = PublicKeys::load(folder.path()).expect_err("an empty folder");
    assert!(error.to_string().contains("list-public-keys"), "{error}");
    let file = folder.path().join("x.json");
    std::fs::write(&file, "{}").expect("writes");
    assert!(PublicKeys::load(&file).is_err());
}

//! A digest file: what it says, what is signed, and what its name tells.
//!
//! The string that is signed is four lines joined by LF, without one at the end: the end of the
//! period, `bucket/key` of the digest, the hex SHA-256 of the uncompressed digest, and the previous
//! digest's signature, or `null` in a starting digest.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;
use thiserror::Error;

/// The only algorithm there is.
pub const ALGORITHM: &str = "SHA256withRSA";

/// What a digest file holds, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// Account of the chain.
    pub aws_account_id: String,
    /// Start of the period, RFC 3339.
    pub digest_start_time: String,
    /// End of the period, RFC 3339, exactly as it is signed.
    pub digest_end_time: String,
    /// Bucket the digest was delivered to.
    pub digest_s3_bucket: String,
    /// Key the digest was delivered to.
    pub digest_s3_object: String,
    /// Fingerprint of the public key.
    pub digest_public_key_fingerprint: String,
    /// Algorithm of the signature.
    pub digest_signature_algorithm: String,
    /// Bucket of the digest before; null in a starting digest, as all that follows.
    pub previous_digest_s3_bucket: Option<String>,
    /// Its key.
    pub previous_digest_s3_object: Option<String>,
    /// Hex SHA-256 of its uncompressed content.
    pub previous_digest_hash_value: Option<String>,
    /// Its signature, in hex.
    pub previous_digest_signature: Option<String>,
    /// The log files of the period.
    #[serde(default)]
    pub log_files: Vec<LogFile>,
}

/// One log file a digest lists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogFile {
    /// Bucket it was delivered to.
    pub s3_bucket: String,
    /// Key it was delivered to.
    pub s3_object: String,
    /// Hex SHA-256 of its uncompressed content.
    pub hash_value: String,
    /// `SHA-256`.
    pub hash_algorithm: String,
}

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Not hexadecimal digits.
    #[error("the signature is not hexadecimal")]
    NotHex,
    /// Another algorithm than the documented one.
    #[error("signature algorithm `{0}` is not {ALGORITHM}")]
    Algorithm(String),
    /// The mathematics say no.
    #[error("the signature does not match the digest under its public key")]
    Mismatch,
}

impl Digest {
    /// The string that is signed, for a digest whose uncompressed content has the hash `sha256`.
    pub fn signed_text(&self, sha256: &str) -> String {
        format!(
            "{}\n{}/{}\n{sha256}\n{}",
            self.digest_end_time,
            self.digest_s3_bucket,
            self.digest_s3_object,
            self.previous_digest_signature.as_deref().unwrap_or("null")
        )
    }

    /// Checks `signature` (hex) with an RSA public key in PKCS#1 DER form.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn check(&self, sha256: &str, signature: &str, public_key: &[u8]) -> Result<(), SignatureError> {
        if self.digest_signature_algorithm != ALGORITHM {
            return Err(SignatureError::Algorithm(self.digest_signature_algorithm.clone()));
        }
        let signature = from_hex(signature).ok_or(SignatureError::NotHex)?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key)
            .verify(self.signed_text(sha256).as_bytes(), &signature)
            .map_err(|_| SignatureError::Mismatch)
    }

    /// Whether the chain begins here: validation or logging was turned on, or on again.
    pub fn is_starting(&self) -> bool {
        self.previous_digest_s3_object.is_none()
    }

    /// Start and end of the period, µs since the epoch, where they can be read.
    pub fn period(&self) -> (Option<i64>, Option<i64>) {
        (micros(&self.digest_start_time), micros(&self.digest_end_time))
    }
}

/// RFC 3339 as µs since the epoch.
pub fn micros(time: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(time).ok().map(|time| time.timestamp_micros())
}

/// Bytes of hexadecimal digits.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

/// What the name of a digest tells. Digests of one chain share everything but the time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainId {
    /// Account.
    pub account: String,
    /// Region the log files come from.
    pub region: String,
    /// Trail.
    pub trail: String,
    /// Region of the trail.
    pub home_region: String,
    /// Digests written later for a time without any are a chain of their own.
    pub backfill: bool,
}

/// The chain and the time (`YYYYMMDDTHHMMSSZ`) in a digest's key or path; none when it is no digest.
pub fn digest_name(location: &str) -> Option<(ChainId, i64)> {
    let name = location.rsplit('/').next()?;
    let (account, rest) = name.split_once("_CloudTrail-Digest_")?;
    let rest = rest.strip_suffix(".gz").unwrap_or(rest).strip_suffix(".json")?;
    let (rest, backfill) = match rest.strip_suffix("_backfill") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    // The name of a trail may hold underscores, Regions and times do not.
    let (rest, time) = rest.rsplit_once('_')?;
    let (rest, home_region) = rest.rsplit_once('_')?;
    let (region, trail) = rest.split_once('_')?;
    let chain = ChainId {
        account: account.to_owned(),
        region: region.to_owned(),
        trail: trail.to_owned(),
        home_region: home_region.to_owned(),
        backfill,
    };
    Some((chain, compact_time(time)?))
}

/// The time of delivery in a log file's key or path; none when it is no CloudTrail log file.
pub fn log_time(location: &str) -> Option<i64> {
    let name = location.rsplit('/').next()?;
    let (_account, rest) = name.split_once("_CloudTrail")?;
    let (kind, rest) = rest.split_once('_')?;
    if kind == "-Digest" || !(name.ends_with(".json.gz") || name.ends_with(".json")) {
        return None;
    }
    rest.split('_').find_map(compact_time)
}

/// Account and Region in a log file's name.
pub fn log_origin(location: &str) -> Option<(&str, &str)> {
    let name = location.rsplit('/').next()?;
    let (account, rest) = name.split_once("_CloudTrail")?;
    Some((account, rest.split('_').nth(1)?))
}

/// `YYYYMMDDTHHMMSSZ` or `YYYYMMDDTHHMMZ` as µs since the epoch.
fn compact_time(text: &str) -> Option<i64> {
    let format = match text.len() {
        16 => "%Y%m%dT%H%M%SZ",
        14 => "%Y%m%dT%H%MZ",
        _ => return None,
    };
    let time = chrono::NaiveDateTime::parse_from_str(text, format).ok()?;
    Some(time.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_chain_and_time_also_of_trails_with_underscores() {
        let key = "AWSLogs/o-abc/111122223333/CloudTrail-Digest/eu-west-1/2026/11/22/\
            111122223333_CloudTrail-Digest_eu-west-1_my_org_trail_us-east-1_20261122T101500Z.json.gz";
        let (chain, time) = digest_name(key).expect("a digest");
        assert_eq!((chain.region.as_str(), chain.trail.as_str()), ("eu-west-1", "my_org_trail"));
        assert_eq!((chain.home_region.as_str(), chain.backfill), ("us-east-1", false));
        assert_eq!(Some(time), micros("2026-11-22T10:15:00Z"));
        let backfill = key.replace(".json.gz", "_backfill.json.gz");
        assert!(digest_name(&backfill).expect("a digest").0.backfill);
        assert_eq!(log_time(key), None);
        let log = "x/111122223333_CloudTrail_eu-west-1_20261122T1015Z_AbCd0123456789xy.json.gz";
        assert_eq!(log_time(log), micros("2026-11-22T10:15:00Z"));
        assert_eq!(log_origin(log), Some(("111122223333", "eu-west-1")));
        assert_eq!(digest_name(log), None);
    }

    #[test]
    fn hexadecimal_is_read_or_refused() {
        assert_eq!(from_hex("00fFa1"), Some(vec![0, 255, 161]));
        for bad in ["0", "0g", "é"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}

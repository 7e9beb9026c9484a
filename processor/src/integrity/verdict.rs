//! Verdicts and the rows they become in the table `cloudtrail_digest`.

use super::digest::{ChainId, Digest};
use super::reading::Found;
use crate::formats::arrow_schema;
use crate::lake::bookkeeping::{day, text, time};
use arrow::array::{ArrayRef, Date32Array, RecordBatch};
use logq_schemas::tables;
use std::sync::Arc;

/// What holds of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// A signed digest vouches for it.
    Verified,
    /// Nothing vouches for it.
    Unverified,
    /// It is not what was delivered.
    Invalid,
    /// It is gone.
    Missing,
}

impl Standing {
    /// The value in `cloudtrail_digest.verdict`.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Verified => "verified",
            Standing::Unverified => "unverified",
            Standing::Invalid => "invalid",
            Standing::Missing => "missing",
        }
    }
}

/// What holds of a digest's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// It matches.
    Valid,
    /// It could not be checked; the signed next digest holds this digest's hash.
    Vouched,
    /// It does not match.
    Invalid,
    /// The public key is not known here.
    NoKey,
    /// The object lost its metadata.
    Absent,
}

impl Signature {
    /// The value in `cloudtrail_digest.signature`.
    pub fn as_str(self) -> &'static str {
        match self {
            Signature::Valid => "valid",
            Signature::Vouched => "vouched",
            Signature::Invalid => "invalid",
            Signature::NoKey => "no_key",
            Signature::Absent => "absent",
        }
    }
}

/// A log file or a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A log file.
    Log,
    /// A digest.
    Digest,
}

impl Kind {
    /// The value in `cloudtrail_digest.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Log => "log",
            Kind::Digest => "digest",
        }
    }
}

/// The verdict on one object.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What the object is.
    pub kind: Kind,
    /// Where it lies, or should lie.
    pub location: String,
    /// What holds of it.
    pub standing: Standing,
    /// Why it is not verified.
    pub reason: Option<String>,
    /// Nothing is wrong: the digest that will list it is not due yet.
    pub pending: bool,
    /// Identity of the stored bytes.
    pub object_id: Option<String>,
    /// Hash as found.
    pub sha256: Option<String>,
    /// Hash as the digest gives it.
    pub expected: Option<String>,
    /// The digest.
    pub digest: Option<String>,
    /// The digest's signature.
    pub signature: Option<Signature>,
    /// Account.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Trail.
    pub trail: Option<String>,
    /// Period the digest covers, µs.
    pub period: (Option<i64>, Option<i64>),
}

impl Verdict {
    /// A verdict without anything known but the object.
    pub fn new(kind: Kind, location: String, standing: Standing) -> Verdict {
        Verdict {
            kind,
            location,
            standing,
            reason: None,
            pending: false,
            object_id: None,
            sha256: None,
            expected: None,
            digest: None,
            signature: None,
            account: None,
            region: None,
            trail: None,
            period: (None, None),
        }
    }

    /// With a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Verdict {
        self.reason = Some(reason.into());
        self
    }

    /// With the content as found.
    #[must_use]
    pub fn with_found(mut self, found: &Found) -> Verdict {
        self.object_id = Some(found.object_id.clone());
        self.sha256 = found.sha256.as_ref().ok().cloned();
        self
    }

    /// With the chain it belongs to.
    #[must_use]
    pub fn in_chain(mut self, chain: &ChainId) -> Verdict {
        self.account = Some(chain.account.clone());
        self.region = Some(chain.region.clone());
        self.trail = Some(chain.trail.clone());
        self
    }

    /// With the period of a digest.
    #[must_use]
    pub fn with_period(mut self, digest: &Digest) -> Verdict {
        self.period = digest.period();
        self
    }

    /// Whether a person must look.
    pub fn is_finding(&self) -> bool {
        self.standing != Standing::Verified && !self.pending
    }
}

/// Rows of `cloudtrail_digest`.
pub fn verdict_batch(verdicts: &[Verdict], verified_at: i64) -> RecordBatch {
    let each = |value: fn(&Verdict) -> Option<&str>| text(verdicts.iter().map(value));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(verdicts.iter().map(|_| Some(day(verified_at))).collect::<Date32Array>()),
        time(verdicts.iter().map(|_| Some(verified_at))),
        each(|one| Some(one.kind.as_str())),
        each(|one| Some(&one.location)),
        each(|one| Some(one.standing.as_str())),
        each(|one| one.reason.as_deref()),
        each(|one| one.object_id.as_deref()),
        each(|one| one.sha256.as_deref()),
        each(|one| one.expected.as_deref()),
        each(|one| one.digest.as_deref()),
        each(|one| one.signature.map(Signature::as_str)),
        each(|one| one.account.as_deref()),
        each(|one| one.region.as_deref()),
        each(|one| one.trail.as_deref()),
        time(verdicts.iter().map(|one| one.period.0)),
        time(verdicts.iter().map(|one| one.period.1)),
    ];
    RecordBatch::try_new(arrow_schema(&tables::cloudtrail_digest::TABLE), columns)
        .expect("columns are listed in the order of the table")
}

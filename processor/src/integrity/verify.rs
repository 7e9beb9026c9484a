//! Verifies everything below some places.

use super::catalogue::{Catalogue, Moves};
use super::chain::{Gap, Walk, unreadable};
use super::digest::{ChainId, digest_name, log_origin, log_time};
use super::keys::PublicKeys;
use super::reading::{SIDECAR, read_log};
use super::verdict::{Kind, Standing, Verdict};
use crate::storage::{Candidate, Inputs};
use futures::StreamExt;
use std::collections::{BTreeMap, HashMap};

/// A digest covers an hour and comes some time after it: log files younger than this may still wait
/// for theirs.
const DIGEST_DELAY: i64 = 2 * 3_600 * 1_000_000;

/// The digest of a period ends up to an hour after the last file of it.
const DIGEST_PERIOD: i64 = 3_600 * 1_000_000;

/// Log files read at the same time.
const READS: usize = 16;

/// What is asked for, µs since the epoch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Period {
    /// From here on.
    pub since: Option<i64>,
    /// Up to here.
    pub until: Option<i64>,
    /// The present.
    pub now: i64,
}

impl Period {
    fn holds(&self, time: i64, slack: i64) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until + slack)
    }
}

/// What a verification says in sum.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Totals {
    /// Verdicts by kind and standing, for example `log` / `verified`.
    pub verdicts: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Log files whose digest is not due yet.
    pub pending: u64,
    /// Objects and gaps a person must look at.
    pub findings: u64,
    /// Chains walked.
    pub chains: u64,
    /// Times no digest covers.
    pub gaps: Vec<Gap>,
}

/// Gives every object of `candidates` its verdict. `progress` is called with the number of digests
/// first, and with 0 after each.
pub async fn verify(
    inputs: &Inputs,
    candidates: Vec<Candidate>,
    moves: Moves,
    keys: &PublicKeys,
    period: Period,
    verdicts: &mut dyn FnMut(Verdict),
    progress: &dyn Fn(u64),
) -> Totals {
    let candidates = candidates
        .into_iter()
        .filter(|one| {
            let location = one.place.location();
            match digest_name(&location) {
                Some((_, time)) => period.holds(time, DIGEST_PERIOD),
                // A log file is kept whatever its time: the digest of the period may list it.
                None => log_time(&location).is_some() && !location.ends_with(SIDECAR),
            }
        })
        .collect();
    let mut catalogue = Catalogue::new(candidates, moves);
    let mut chains: BTreeMap<ChainId, Vec<(i64, usize)>> = BTreeMap::new();
    for (index, candidate) in catalogue.candidates().iter().enumerate() {
        if let Some((chain, time)) = digest_name(&candidate.place.location()) {
            chains.entry(chain).or_default().push((time, index));
        }
    }
    progress(chains.values().map(Vec::len).sum::<usize>() as u64);
    let mut totals = Totals { chains: chains.len() as u64, ..Totals::default() };
    let mut gaps = Vec::new();
    let mut covered: HashMap<(String, String), i64> = HashMap::new();
    let mut count = |verdict: Verdict| {
        totals.add(&verdict);
        verdicts(verdict);
    };
    for (chain, mut members) in chains {
        members.sort_unstable_by(|one, other| other.cmp(one));
        if let Some((newest, _)) = members.first() {
            let end = covered.entry((chain.account.clone(), chain.region.clone())).or_insert(*newest);
            *end = (*end).max(*newest);
        }
        let members: Vec<usize> = members.into_iter().map(|(_, index)| index).collect();
        let mut walk = Walk {
            inputs,
            keys,
            catalogue: &mut catalogue,
            since: period.since,
            verdicts: &mut count,
            gaps: &mut gaps,
        };
        walk.run(&chain, &members, &|| progress(0)).await;
    }
    unlisted(inputs, &catalogue, &covered, period, &mut count).await;
    totals.findings += gaps.len() as u64;
    totals.gaps = gaps;
    totals
}

impl Totals {
    fn add(&mut self, verdict: &Verdict) {
        let kinds = self.verdicts.entry(verdict.kind.as_str()).or_default();
        *kinds.entry(verdict.standing.as_str()).or_default() += 1;
        self.pending += u64::from(verdict.pending);
        self.findings += u64::from(verdict.is_finding());
    }

    /// Number of verdicts of one kind and standing.
    pub fn count(&self, kind: Kind, standing: Standing) -> u64 {
        let kinds = self.verdicts.get(kind.as_str());
        kinds.and_then(|kinds| kinds.get(standing.as_str())).copied().unwrap_or(0)
    }
}

/// Log files that no digest lists.
async fn unlisted(
    inputs: &Inputs,
    catalogue: &Catalogue,
    covered: &HashMap<(String, String), i64>,
    period: Period,
    verdicts: &mut dyn FnMut(Verdict),
) {
    let files = catalogue.unlisted().filter_map(|one| {
        let location = one.place.location();
        let time = log_time(&location).filter(|time| period.holds(*time, 0))?;
        Some((one.place.clone(), location, time))
    });
    let mut reads = futures::stream::iter(files)
        .map(|(place, location, time)| async move { (read_log(inputs, &place).await, location, time) })
        .buffered(READS);
    while let Some((read, location, time)) = reads.next().await {
        let (account, region) = log_origin(&location).unwrap_or_default();
        let (account, region) = (account.to_owned(), region.to_owned());
        let end = covered.get(&(account.clone(), region.clone()));
        let late = end.is_none_or(|end| time > *end);
        let pending = late && period.now - time < DIGEST_DELAY;
        let reason = match end {
            _ if pending => "no digest covers it yet",
            None => {
                "there is no digest of its account and Region here: turn log file validation on, or name the place of the digests too"
            }
            Some(_) if late => {
                "no digest covers its time, and it is overdue: the newest digests may have been removed"
            }
            Some(_) => {
                "no digest lists it, though one covers its time: it was not delivered by CloudTrail, or under another name"
            }
        };
        let mut verdict = match read {
            Ok(found) => {
                Verdict::new(Kind::Log, location, Standing::Unverified).because(reason).with_found(&found)
            }
            Err(error) => unreadable(Kind::Log, location, &error),
        };
        verdict.pending = pending;
        verdict.account = Some(account);
        verdict.region = Some(region);
        verdicts(verdict);
    }
}

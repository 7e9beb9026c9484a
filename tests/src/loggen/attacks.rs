//! Planted attacks and their labels.
//!
//! Every attack names its entity (who or what a finding should be about), the technique it shows
//! and exactly how many records it left. Sizes scale with [`Plan::attacks`]; times lie inside the
//! plan, spread over it.

pub mod account;
pub mod network;

use super::Plan;
use serde::{Deserialize, Serialize};

/// Ground truth about one planted attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// What it is, e.g. `port_scan`.
    pub kind: String,
    /// Table its records end up in.
    pub table: String,
    /// Address or principal a finding should name.
    pub entity: String,
    /// The other side, when there is one.
    pub target: String,
    /// ATT&CK techniques, any of which a finding may carry.
    pub techniques: Vec<String>,
    /// First record, Unix seconds.
    pub first: i64,
    /// Last record, Unix seconds.
    pub last: i64,
    /// Records it left.
    pub count: u64,
}

impl Label {
    /// What the label means, for people.
    pub fn title(&self) -> String {
        self.kind.replace('_', " ")
    }
}

/// `count` scaled by the plan's intensity, at least 1.
fn scaled(plan: &Plan, count: u64) -> u64 {
    ((count as f64) * plan.attacks).round().max(1.0) as u64
}

/// The second at `fraction` of the plan.
fn moment(plan: &Plan, fraction: f64) -> i64 {
    plan.start + (plan.seconds() as f64 * fraction) as i64
}

/// `seconds`, or a tenth of the plan when that is shorter.
fn span(plan: &Plan, seconds: i64) -> i64 {
    seconds.min(plan.seconds() / 10).max(1)
}

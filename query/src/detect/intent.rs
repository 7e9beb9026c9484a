//! Network intent: what may talk to what, declared once and checked against what did.
//!
//! `intent.toml` names zones (networks), and says which pairs are allowed, denied or not to be
//! looked at. Every flow record that goes from client to server gets a verdict:
//!
//! | verdict | the record was | the intent says |
//! |---|---|---|
//! | `violation` | accepted | denied, or not allowed |
//! | `blocked-attempt` | rejected | denied, or not allowed |
//! | `drift-deny` | rejected | allowed: a security group or network ACL has drifted |
//! | `unknown-zone` | accepted | nothing: a private address is in no declared zone |
//!
//! Order: `ignore`, `deny`, `allow`, then `default`. Zones are found by longest prefix, per account
//! where environments share addresses. Traffic inside one zone of one environment is not judged
//! unless a rule names it.

pub mod check;
mod evidence;
pub mod file;
pub mod reader;
pub mod verdict;
pub mod zones;

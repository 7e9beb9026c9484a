//! The declared policy: what `intent.toml` says once [`super::reader`] has checked it.

use super::zones::Prefixes;
use crate::detect::severity::Severity;
use ipnet::IpNet;
use std::collections::BTreeMap;

/// The declared policy, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Whether what no rule names is allowed.
    pub default_allow: bool,
    /// What counts as the Internet beside the zones.
    pub external: Prefixes,
    /// The same as networks.
    pub external_networks: Vec<IpNet>,
    /// Zones, one for each zone and environment it exists in.
    pub zones: Vec<Zone>,
    /// Address sets that rules name with `set:`.
    pub sets: BTreeMap<String, Set>,
    /// Rules in the order they are asked: ignore, deny, allow.
    pub rules: Vec<Rule>,
    /// Zones of accounts that share addresses with others, by account.
    pub by_account: BTreeMap<String, Prefixes>,
    /// Zones of everything else.
    pub shared: Prefixes,
    /// Ports that are servers by declaration.
    pub ports: Vec<u16>,
    /// What the reader should know, e.g. rules past their date.
    pub notes: Vec<String>,
}

/// One zone of one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Name in the file.
    pub name: String,
    /// Environment, where the zone has one.
    pub environment: Option<String>,
    /// Networks.
    pub networks: Vec<IpNet>,
}

impl Zone {
    /// `environment/name`, or the name.
    pub fn label(&self) -> String {
        match &self.environment {
            Some(environment) => format!("{environment}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// A named set of peers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Set {
    /// Networks.
    pub networks: Vec<IpNet>,
    /// AWS services by the names flow logs use.
    pub services: Vec<String>,
}

/// What a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Do not look at it.
    Ignore,
    /// Must not happen.
    Deny,
    /// May happen.
    Allow,
}

/// One side of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// Everything.
    Any,
    /// Reachable addresses in no zone.
    Internet,
    /// A zone in any environment.
    Zone(String),
    /// A zone in one environment.
    ZoneIn(String, String),
    /// Every zone of one environment.
    Environment(String),
    /// Every zone that belongs to an environment.
    AnyEnvironment,
    /// Every zone of another environment than the other side's.
    OtherEnvironment,
    /// A set.
    Set(String),
    /// A network.
    Network(IpNet),
}

/// Protocol and ports of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// IANA number; `None` is any.
    pub protocol: Option<i32>,
    /// First and last port; `None` is any.
    pub ports: Option<(u16, u16)>,
}

/// A rule of the intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Unique id.
    pub id: String,
    /// What it decides.
    pub effect: Effect,
    /// Clients.
    pub from: Vec<Side>,
    /// Servers.
    pub to: Vec<Side>,
    /// Services; empty is any.
    pub services: Vec<Service>,
    /// Severity of violations of a deny.
    pub severity: Option<Severity>,
    /// Reference to the decision.
    pub ticket: Option<String>,
}

impl Rule {
    /// Whether the rule is about this protocol and port.
    pub fn serves(&self, protocol: i32, port: u16) -> bool {
        self.services.is_empty()
            || self.services.iter().any(|service| {
                service.protocol.is_none_or(|wanted| wanted == protocol)
                    && service.ports.is_none_or(|(first, last)| (first..=last).contains(&port))
            })
    }
}

/// Why an intent file is refused. Nothing is checked against half a policy.
#[derive(Debug, thiserror::Error)]
pub enum IntentError {
    /// Cannot be read.
    #[error("{path}: cannot be read: {reason}")]
    Unreadable {
        /// File.
        path: String,
        /// Why.
        reason: std::io::Error,
    },
    /// Not TOML, or an unknown key.
    #[error("{path}: {reason}")]
    Syntax {
        /// File.
        path: String,
        /// Line and key.
        reason: String,
    },
    /// Understood, but wrong; every mistake is listed.
    #[error("{path}: {}", mistakes.join("; "))]
    Mistakes {
        /// File.
        path: String,
        /// All of them.
        mistakes: Vec<String>,
    },
}

//! The verdict on one flow record.

use super::file::{Effect, Intent, Rule, Side, Zone};
use super::zones::{is_local_only, is_public};
use crate::detect::severity::Severity;
use std::net::IpAddr;

/// One record from client to server.
#[derive(Debug, Clone, Copy)]
pub struct Flow<'a> {
    /// Account of the interface.
    pub account: Option<&'a str>,
    /// Client.
    pub src: IpAddr,
    /// Server.
    pub dst: IpAddr,
    /// IANA protocol number.
    pub protocol: i32,
    /// Server's port.
    pub port: u16,
    /// Whether it was accepted.
    pub accepted: bool,
    /// AWS service of the client's address, as flow logs name it.
    pub src_service: Option<&'a str>,
    /// AWS service of the server's address.
    pub dst_service: Option<&'a str>,
}

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a zone (index into [`Intent::zones`]).
    Zone(usize),
    /// Reachable, in no zone.
    Internet,
    /// Private, in no zone.
    Unknown,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Accepted, but denied or not allowed.
    Violation,
    /// Rejected, and denied or not allowed.
    BlockedAttempt,
    /// Rejected, but allowed.
    DriftDeny,
    /// A private address no zone holds.
    UnknownZone,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 4] = [Kind::Violation, Kind::BlockedAttempt, Kind::DriftDeny, Kind::UnknownZone];

    /// Name in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Violation => "violation",
            Kind::BlockedAttempt => "blocked-attempt",
            Kind::DriftDeny => "drift-deny",
            Kind::UnknownZone => "unknown-zone",
        }
    }
}

/// A verdict worth a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong.
    pub kind: Kind,
    /// The rule (index into [`Intent::rules`]); `None` is the default.
    pub rule: Option<usize>,
    /// Where the client is.
    pub from: Place,
    /// Where the server is.
    pub to: Place,
}

impl Intent {
    /// Where an address is, for records of an account.
    pub fn place(&self, account: Option<&str>, address: IpAddr) -> Place {
        let own = account.and_then(|account| self.by_account.get(account));
        if let Some(zone) = own.and_then(|zones| zones.find(address)).or_else(|| self.shared.find(address)) {
            return Place::Zone(zone);
        }
        if is_public(address) && self.external.find(address).is_some() {
            Place::Internet
        } else {
            Place::Unknown
        }
    }

    /// Judges a record; `None` when there is nothing to say.
    pub fn judge(&self, flow: &Flow<'_>) -> Option<Verdict> {
        if is_local_only(flow.src) || is_local_only(flow.dst) {
            return None;
        }
        let from = self.place(flow.account, flow.src);
        let to = self.place(flow.account, flow.dst);
        let found = self.rules.iter().enumerate().find(|(_, rule)| self.applies(rule, flow, from, to));
        let verdict = |kind, rule| Some(Verdict { kind, rule, from, to });
        match found.map(|(at, rule)| (at, rule.effect)) {
            Some((_, Effect::Ignore)) => None,
            Some((at, Effect::Deny)) if flow.accepted => verdict(Kind::Violation, Some(at)),
            Some((at, Effect::Deny)) => verdict(Kind::BlockedAttempt, Some(at)),
            Some((_, Effect::Allow)) if flow.accepted => None,
            Some((at, Effect::Allow)) => verdict(Kind::DriftDeny, Some(at)),
            None => match (from, to) {
                (Place::Internet, Place::Internet) => None,
                (Place::Unknown, _) | (_, Place::Unknown) if flow.accepted => {
                    verdict(Kind::UnknownZone, None)
                }
                (Place::Zone(a), Place::Zone(b)) if a == b => None,
                _ if self.default_allow => None,
                _ if flow.accepted => verdict(Kind::Violation, None),
                _ => verdict(Kind::BlockedAttempt, None),
            },
        }
    }

    /// Severity of a verdict.
    pub fn severity(&self, verdict: &Verdict) -> Severity {
        let rule = verdict.rule.and_then(|at| self.rules.get(at));
        match verdict.kind {
            Kind::Violation => rule.and_then(|rule| rule.severity).unwrap_or(Severity::High),
            Kind::DriftDeny | Kind::UnknownZone => Severity::Medium,
            Kind::BlockedAttempt => Severity::Low,
        }
    }

    /// Name of a place.
    pub fn place_label(&self, place: Place) -> String {
        match place {
            Place::Zone(at) => self.zones.get(at).map(Zone::label).unwrap_or_default(),
            Place::Internet => "internet".to_owned(),
            Place::Unknown => "unknown".to_owned(),
        }
    }

    fn zone(&self, place: Place) -> Option<&Zone> {
        match place {
            Place::Zone(at) => self.zones.get(at),
            _ => None,
        }
    }

    fn applies(&self, rule: &Rule, flow: &Flow<'_>, from: Place, to: Place) -> bool {
        rule.serves(flow.protocol, flow.port)
            && rule.from.iter().any(|side| self.on_side(side, flow.src, flow.src_service, from, to))
            && rule.to.iter().any(|side| self.on_side(side, flow.dst, flow.dst_service, to, from))
            && self.environments_fit(rule, from, to)
    }

    /// A zone named without environment means the same one on both sides: `app → db` allows prod
    /// to prod, never dev to prod. Denials are not narrowed.
    pub fn environments_fit(&self, rule: &Rule, from: Place, to: Place) -> bool {
        let plain = |sides: &[Side]| sides.iter().any(|side| matches!(side, Side::Zone(_)));
        if rule.effect != Effect::Allow || !plain(&rule.from) || !plain(&rule.to) {
            return true;
        }
        match (self.zone(from), self.zone(to)) {
            (Some(from), Some(to)) => match (&from.environment, &to.environment) {
                (Some(from), Some(to)) => from == to,
                _ => true,
            },
            _ => true,
        }
    }

    /// Whether a side means a place, whatever the address in it.
    pub fn place_fits(&self, side: &Side, place: Place, other: Place) -> bool {
        let zone = self.zone(place);
        match side {
            Side::Any => true,
            Side::Internet => place == Place::Internet,
            Side::Zone(name) => zone.is_some_and(|zone| zone.name == *name),
            Side::ZoneIn(env, name) => {
                zone.is_some_and(|zone| zone.name == *name && zone.environment.as_ref() == Some(env))
            }
            Side::Environment(env) => zone.is_some_and(|zone| zone.environment.as_ref() == Some(env)),
            Side::AnyEnvironment => zone.is_some_and(|zone| zone.environment.is_some()),
            Side::OtherEnvironment => match (zone, self.zone(other)) {
                (Some(zone), Some(other)) => {
                    zone.environment.is_some()
                        && other.environment.is_some()
                        && zone.environment != other.environment
                }
                _ => false,
            },
            Side::Set(_) | Side::Network(_) => false,
        }
    }

    fn on_side(
        &self,
        side: &Side,
        address: IpAddr,
        service: Option<&str>,
        place: Place,
        other: Place,
    ) -> bool {
        match side {
            Side::Set(name) => self.sets.get(name).is_some_and(|set| {
                set.networks.iter().any(|network| network.contains(&address))
                    || service
                        .is_some_and(|service| set.services.iter().any(|s| s.eq_ignore_ascii_case(service)))
            }),
            Side::Network(network) => network.contains(&address),
            by_place => self.place_fits(by_place, place, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    fn example() -> Intent {
        let text = crate::detect::library::shipped_file("intent.example.toml").unwrap();
        Intent::parse(text, "intent.example.toml", NaiveDate::from_ymd_opt(2026, 11, 22).unwrap()).unwrap()
    }

    fn judge(intent: &Intent, src: &str, dst: &str, port: u16, accepted: bool) -> Option<(Kind, String)> {
        let flow = Flow {
            account: Some("111111111111"),
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            protocol: 6,
            port,
            accepted,
            src_service: None,
            dst_service: None,
        };
        intent.judge(&flow).map(|verdict| {
            let rule = verdict.rule.map_or("default", |at| intent.rules[at].id.as_str());
            (verdict.kind, rule.to_owned())
        })
    }

    #[test]
    fn the_shipped_example_says_what_the_architecture_says() {
        let intent = example();
        let ask = |src, dst, port, accepted| judge(&intent, src, dst, port, accepted);
        let is = |kind, rule: &str| Some((kind, rule.to_owned()));
        assert_eq!(ask("198.51.100.77", "10.0.1.10", 443, true), None);
        assert_eq!(ask("10.0.1.10", "10.0.16.5", 8080, true), None);
        assert_eq!(ask("10.0.16.5", "10.0.64.9", 5432, true), None);
        assert_eq!(ask("203.0.113.10", "10.0.2.20", 22, true), None);
        assert_eq!(ask("10.0.16.5", "10.0.16.6", 9000, true), None);
        assert_eq!(ask("198.51.100.77", "10.0.2.20", 22, true), is(Kind::Violation, "default"));
        assert_eq!(ask("198.51.100.77", "10.0.2.20", 22, false), is(Kind::BlockedAttempt, "default"));
        assert_eq!(ask("10.0.1.10", "10.0.64.9", 5432, true), is(Kind::Violation, "db-from-app-only"));
        assert_eq!(ask("10.0.64.9", "93.184.216.34", 443, true), is(Kind::Violation, "db-no-internet"));
        assert_eq!(ask("93.184.216.34", "10.0.64.9", 5432, true), is(Kind::Violation, "internet-no-db"));
        assert_eq!(ask("10.0.16.5", "10.0.64.9", 5432, false), is(Kind::DriftDeny, "app-to-db"));
        assert_eq!(ask("10.0.16.5", "10.0.200.1", 443, true), is(Kind::UnknownZone, "default"));
        assert_eq!(ask("10.0.16.5", "10.0.1.10", 9999, true), is(Kind::Violation, "default"));
        assert_eq!(ask("10.0.16.5", "169.254.169.254", 80, true), None);
    }

    #[test]
    fn environments_do_not_mix_and_sets_match_services() {
        let text = r#"
            version = 1
            [sets]
            aws = { aws = ["S3"] }
            [env.prod]
            cidr = ["10.10.0.0/16"]
            [env.dev]
            cidr = ["10.20.0.0/16"]
            [zone.app]
            cidr = ["{env}.16.0/20"]
            [zone.db]
            cidr = ["{env}.32.0/20", "fd00:1::/64"]
            [[allow]]
            id = "app-db"
            from = "app"
            to = "db"
            ports = ["tcp/5432"]
            [[allow]]
            id = "s3"
            from = "db"
            to = "set:aws"
            [[deny]]
            id = "isolation"
            from = "env:*"
            to = "env:!same"
            severity = "critical"
        "#;
        let intent = Intent::parse(text, "t", NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()).unwrap();
        assert_eq!(judge(&intent, "10.10.16.1", "10.10.32.1", 5432, true), None);
        assert_eq!(
            judge(&intent, "10.20.16.1", "10.10.32.1", 5432, true),
            Some((Kind::Violation, "isolation".into()))
        );
        assert_eq!(judge(&intent, "10.20.16.1", "fd00:1::9", 5432, true), None);
        let mut flow = Flow {
            account: None,
            src: "10.10.32.1".parse().unwrap(),
            dst: "52.216.0.1".parse().unwrap(),
            protocol: 6,
            port: 443,
            accepted: true,
            src_service: None,
            dst_service: Some("S3"),
        };
        assert_eq!(intent.judge(&flow), None);
        flow.dst_service = None;
        assert_eq!(intent.judge(&flow).map(|verdict| verdict.kind), Some(Kind::Violation));
    }
}

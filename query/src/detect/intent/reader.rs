//! Reads `intent.toml` and checks all of it: every mistake is listed, none is guessed around.

use super::file::{Effect, Intent, IntentError, Rule, Service, Set, Side, Zone};
use super::zones::Prefixes;
use crate::detect::severity::Severity;
use chrono::NaiveDate;
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::path::Path;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u32,
    #[serde(default)]
    default: Option<String>,
    #[serde(default)]
    external: Option<Vec<String>>,
    #[serde(default)]
    sets: BTreeMap<String, RawSet>,
    #[serde(default)]
    env: BTreeMap<String, RawEnvironment>,
    #[serde(default)]
    zone: BTreeMap<String, RawZone>,
    #[serde(default)]
    allow: Vec<RawRule>,
    #[serde(default)]
    deny: Vec<RawRule>,
    #[serde(default)]
    ignore: Vec<RawRule>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawSet {
    Networks(Vec<String>),
    Services { aws: Vec<String> },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEnvironment {
    #[serde(default)]
    accounts: Vec<String>,
    cidr: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawZone {
    cidr: Vec<String>,
    #[serde(default)]
    ports: Vec<String>,
    /// For the reader alone.
    #[serde(default, rename = "role")]
    _role: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: String,
    from: OneOrMany,
    to: OneOrMany,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    ticket: Option<String>,
    /// For the reader alone: packet addresses see through NAT and load balancers.
    #[serde(default, rename = "via")]
    _via: Option<String>,
}

impl Intent {
    /// Reads and checks a file; `today` decides which rules are past their date.
    ///
    /// # Errors
    /// [`IntentError`] with every mistake found.
    pub fn load(path: &Path, today: NaiveDate) -> Result<Intent, IntentError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|reason| IntentError::Unreadable { path: name.clone(), reason })?;
        Intent::parse(&text, &name, today)
    }

    /// Checks a text.
    ///
    /// # Errors
    /// [`IntentError`] with every mistake found.
    pub fn parse(text: &str, path: &str, today: NaiveDate) -> Result<Intent, IntentError> {
        let raw: Raw = toml::from_str(text).map_err(|error| IntentError::Syntax {
            path: path.to_owned(),
            reason: error.to_string().trim().replace('\n', " "),
        })?;
        let mut builder = Builder { mistakes: Vec::new(), today };
        let intent = builder.build(raw);
        if builder.mistakes.is_empty() {
            Ok(intent)
        } else {
            Err(IntentError::Mistakes { path: path.to_owned(), mistakes: builder.mistakes })
        }
    }
}

struct Builder {
    mistakes: Vec<String>,
    today: NaiveDate,
}

impl Builder {
    fn build(&mut self, raw: Raw) -> Intent {
        if raw.version != 1 {
            self.mistakes.push(format!("version {} is not known; this logq reads version 1", raw.version));
        }
        let default_allow = match raw.default.as_deref() {
            None | Some("deny") => false,
            Some("allow") => true,
            Some(other) => {
                self.mistakes.push(format!("default = \"{other}\": use \"deny\" or \"allow\""));
                false
            }
        };
        let mut external = Prefixes::default();
        let everything = || vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()];
        let external_networks = self.networks("external", &raw.external.unwrap_or_else(everything));
        for network in &external_networks {
            external.insert(*network, 0);
        }
        let sets = raw.sets.iter().map(|(name, set)| (name.clone(), self.set(name, set))).collect();
        let mut intent = Intent {
            default_allow,
            external,
            external_networks,
            zones: Vec::new(),
            sets,
            rules: Vec::new(),
            by_account: BTreeMap::new(),
            shared: Prefixes::default(),
            ports: Vec::new(),
            notes: Vec::new(),
        };
        self.zones(&raw.env, &raw.zone, &mut intent);
        for (effect, rules) in
            [(Effect::Ignore, raw.ignore), (Effect::Deny, raw.deny), (Effect::Allow, raw.allow)]
        {
            for rule in rules {
                self.rule(effect, rule, &raw.env, &raw.zone, &mut intent);
            }
        }
        intent
    }

    fn networks(&mut self, place: &str, texts: &[String]) -> Vec<IpNet> {
        texts.iter().filter_map(|text| self.network(place, text)).collect()
    }

    fn network(&mut self, place: &str, text: &str) -> Option<IpNet> {
        let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match parsed {
            None => self.mistakes.push(format!("{place}: `{text}` is not a network such as 10.0.0.0/16")),
            Some(network) if network.trunc() != network => {
                self.mistakes
                    .push(format!("{place}: `{text}` has bits beyond its prefix; write {}", network.trunc()));
            }
            Some(_) => {}
        }
        parsed.map(|network| network.trunc())
    }

    fn set(&mut self, name: &str, raw: &RawSet) -> Set {
        match raw {
            RawSet::Networks(texts) => {
                Set { networks: self.networks(&format!("sets.{name}"), texts), services: Vec::new() }
            }
            RawSet::Services { aws } => Set { networks: Vec::new(), services: aws.clone() },
        }
    }

    fn zones(
        &mut self,
        envs: &BTreeMap<String, RawEnvironment>,
        zones: &BTreeMap<String, RawZone>,
        intent: &mut Intent,
    ) {
        if zones.is_empty() {
            self.mistakes.push("no [zone.…] is declared, so nothing can be judged".to_owned());
        }
        let mut environments = BTreeMap::new();
        for (name, env) in envs {
            environments.insert(name.as_str(), self.networks(&format!("env.{name}.cidr"), &env.cidr));
        }
        for (name, zone) in zones {
            if matches!(name.as_str(), "internet" | "any") {
                self.mistakes.push(format!("zone.{name}: the name is taken"));
            }
            for text in &zone.ports {
                if let Some(Service { ports: Some((first, last)), .. }) =
                    self.service(&format!("zone.{name}.ports"), text)
                    && last.saturating_sub(first) < 64
                {
                    intent.ports.extend(first..=last);
                }
            }
            // One zone for each environment it is in, and one for the networks that are in none.
            let mut places: BTreeMap<Option<&str>, Vec<IpNet>> = BTreeMap::new();
            for text in &zone.cidr {
                if text.contains("{env}") {
                    if envs.is_empty() {
                        self.mistakes
                            .push(format!("zone.{name}: `{text}` uses {{env}}, but no [env.…] is declared"));
                    }
                    for (env, networks) in &environments {
                        for network in networks {
                            if let Some(found) = self.expand(&format!("zone.{name}"), text, env, *network) {
                                places.entry(Some(env)).or_default().push(found);
                            }
                        }
                    }
                } else if let Some(network) = self.network(&format!("zone.{name}"), text) {
                    let env = environments
                        .iter()
                        .find(|(_, networks)| networks.iter().any(|outer| outer.contains(&network)))
                        .map(|(env, _)| *env);
                    places.entry(env).or_default().push(network);
                }
            }
            for (env, networks) in places {
                self.zone(name, env, networks, envs, intent);
            }
        }
    }

    fn zone(
        &mut self,
        name: &str,
        env: Option<&str>,
        networks: Vec<IpNet>,
        envs: &BTreeMap<String, RawEnvironment>,
        intent: &mut Intent,
    ) {
        let zone = Zone { name: name.to_owned(), environment: env.map(str::to_owned), networks };
        let at = intent.zones.len();
        let accounts =
            env.and_then(|env| envs.get(env)).map(|env| env.accounts.as_slice()).unwrap_or_default();
        for network in &zone.networks {
            for account in accounts {
                let before = intent.by_account.entry(account.clone()).or_default().insert(*network, at);
                self.overlap(before, *network, &zone, intent);
            }
            // Environments told apart by account may share addresses; the first one answers for
            // records of other accounts.
            match intent.shared.insert(*network, at) {
                Some(before) if accounts.is_empty() || before == at => {
                    self.overlap(Some(before), *network, &zone, intent);
                }
                Some(before) => {
                    intent.shared.insert(*network, before);
                }
                None => {}
            }
        }
        intent.zones.push(zone);
    }

    fn overlap(&mut self, before: Option<usize>, network: IpNet, zone: &Zone, intent: &Intent) {
        if let Some(before) = before {
            let other = intent.zones.get(before).map_or_else(|| zone.label(), Zone::label);
            self.mistakes.push(format!(
                "zone.{}: {network} is declared in {other} as well; a network belongs to one zone",
                zone.label()
            ));
        }
    }

    /// `{env}.16.0/20` in 10.10.0.0/16 is 10.10.16.0/20.
    fn expand(&mut self, place: &str, text: &str, env: &str, network: IpNet) -> Option<IpNet> {
        let octets = network.prefix_len() / 8;
        let IpNet::V4(v4) = network else {
            // An IPv6 environment has no dotted prefix; its zones are written out.
            return None;
        };
        if !network.prefix_len().is_multiple_of(8) || octets == 0 {
            self.mistakes.push(format!(
                "{place}: {{env}} needs a /8, /16 or /24 environment, env.{env} is {network}; write the networks out"
            ));
            return None;
        }
        let prefix =
            v4.addr().octets().iter().take(usize::from(octets)).map(ToString::to_string).collect::<Vec<_>>();
        let found = self.network(place, &text.replace("{env}", &prefix.join(".")))?;
        if !network.contains(&found) {
            self.mistakes.push(format!("{place}: {found} lies outside env.{env} ({network})"));
        }
        Some(found)
    }

    fn rule(
        &mut self,
        effect: Effect,
        raw: RawRule,
        envs: &BTreeMap<String, RawEnvironment>,
        zones: &BTreeMap<String, RawZone>,
        intent: &mut Intent,
    ) {
        let id = raw.id.clone();
        let place = format!("rule {id}");
        let ids: HashSet<&str> = intent.rules.iter().map(|rule| rule.id.as_str()).collect();
        if ids.contains(id.as_str()) || matches!(id.as_str(), "default" | "unknown-zone") {
            self.mistakes.push(format!("{place}: the id is taken"));
        }
        let from = self.sides(&place, raw.from, envs, zones, intent);
        let to = self.sides(&place, raw.to, envs, zones, intent);
        let both_other = from.contains(&Side::OtherEnvironment) && to.contains(&Side::OtherEnvironment);
        if both_other {
            self.mistakes.push(format!("{place}: env:!same can stand on one side only"));
        }
        let services: Vec<Service> = raw.ports.iter().filter_map(|text| self.service(&place, text)).collect();
        let severity = match raw.severity.map(|text| text.parse::<Severity>()).transpose() {
            Ok(severity) => severity,
            Err(message) => {
                self.mistakes.push(format!("{place}: {message}"));
                None
            }
        };
        if severity.is_some() && effect != Effect::Deny {
            self.mistakes.push(format!("{place}: severity belongs to [[deny]] rules"));
        }
        if let Some(until) = raw.until {
            match until.parse::<NaiveDate>() {
                Err(_) => self
                    .mistakes
                    .push(format!("{place}: until = \"{until}\" is not a date such as 2027-01-31")),
                Ok(date) if date < self.today => {
                    let ticket = raw.ticket.map(|ticket| format!(" ({ticket})")).unwrap_or_default();
                    intent.notes.push(format!("intent rule {id}{ticket} ended on {date} and is not applied"));
                    return;
                }
                Ok(_) => {}
            }
        }
        for service in &services {
            if let Some((first, last)) = service.ports
                && last.saturating_sub(first) < 64
            {
                intent.ports.extend(first..=last);
            }
        }
        intent.rules.push(Rule { id, effect, from, to, services, severity, ticket: raw.ticket });
    }

    fn sides(
        &mut self,
        place: &str,
        raw: OneOrMany,
        envs: &BTreeMap<String, RawEnvironment>,
        zones: &BTreeMap<String, RawZone>,
        intent: &Intent,
    ) -> Vec<Side> {
        let texts = match raw {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        };
        if texts.is_empty() {
            self.mistakes.push(format!("{place}: from and to must name something"));
        }
        let mut sides = Vec::new();
        for text in texts {
            let known = |mistakes: &mut Vec<String>, found: bool, what: &str, names: Vec<&String>| {
                if !found {
                    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
                    mistakes
                        .push(format!("{place}: unknown {what} in `{text}`; declared: {}", names.join(", ")));
                }
            };
            let side = match text.as_str() {
                "any" => Side::Any,
                "internet" => Side::Internet,
                "env:*" => Side::AnyEnvironment,
                "env:!same" => Side::OtherEnvironment,
                other => {
                    if let Some(env) = other.strip_prefix("env:") {
                        known(
                            &mut self.mistakes,
                            envs.contains_key(env),
                            "environment",
                            envs.keys().collect(),
                        );
                        Side::Environment(env.to_owned())
                    } else if let Some(set) = other.strip_prefix("set:") {
                        known(
                            &mut self.mistakes,
                            intent.sets.contains_key(set),
                            "set",
                            intent.sets.keys().collect(),
                        );
                        Side::Set(set.to_owned())
                    } else if zones.contains_key(other) {
                        Side::Zone(other.to_owned())
                    } else if let Ok(network) = other.parse::<IpNet>() {
                        Side::Network(network)
                    } else if let Some((env, zone)) = other.split_once('/') {
                        known(
                            &mut self.mistakes,
                            envs.contains_key(env),
                            "environment",
                            envs.keys().collect(),
                        );
                        known(&mut self.mistakes, zones.contains_key(zone), "zone", zones.keys().collect());
                        Side::ZoneIn(env.to_owned(), zone.to_owned())
                    } else {
                        known(&mut self.mistakes, false, "zone", zones.keys().collect());
                        continue;
                    }
                }
            };
            sides.push(side);
        }
        sides
    }

    /// `tcp/5432`, `udp/53`, `tcp/8000-8100`, `tcp/*`, `*/53`, `icmp`, `17`.
    fn service(&mut self, place: &str, text: &str) -> Option<Service> {
        let (protocol, ports) = text.split_once('/').unwrap_or((text, "*"));
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "*" | "any" => Some(None),
            "tcp" => Some(Some(6)),
            "udp" => Some(Some(17)),
            "icmp" => Some(Some(1)),
            "icmpv6" => Some(Some(58)),
            "esp" => Some(Some(50)),
            "gre" => Some(Some(47)),
            number => number.parse::<u8>().ok().map(|number| Some(i32::from(number))),
        };
        let ports = match ports {
            "*" => Some(None),
            range => {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                match (first.parse::<u16>(), last.parse::<u16>()) {
                    (Ok(first), Ok(last)) if first <= last => Some(Some((first, last))),
                    _ => None,
                }
            }
        };
        match (protocol, ports) {
            (Some(protocol), Some(ports)) => Some(Service { protocol, ports }),
            _ => {
                self.mistakes.push(format!(
                    "{place}: `{text}` is not a service such as tcp/5432, udp/8000-8100, tcp/* or icmp"
                ));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Intent, IntentError> {
        Intent::parse(text, "intent.toml", NaiveDate::from_ymd_opt(2026, 11, 22).unwrap())
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let text = r#"
            version = 2
            default = "maybe"
            [zone.app]
            cidr = ["10.0.16.1/20", "10.0.x"]
            [zone.db]
            cidr = ["10.0.64.0/21", "10.0.64.0/21", "{env}.0.0/24"]
            [[allow]]
            id = "a"
            from = "web"
            to = ["db", "set:none", "env:prod"]
            ports = ["tcp/http", "sctp/1"]
            severity = "high"
            until = "soon"
            [[deny]]
            id = "a"
            from = "app"
            to = "db"
        "#;
        let message = parse(text).unwrap_err().to_string();
        for part in [
            "version 2",
            "maybe",
            "10.0.16.1/20",
            "10.0.x",
            "as well",
            "{env}",
            "`web`",
            "set:none",
            "env:prod",
            "tcp/http",
            "sctp/1",
            "severity belongs",
            "soon",
            "id is taken",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(parse("version = 1\nzones = 1").unwrap_err().to_string().contains("zones"));
        assert!(parse("version = 1").unwrap_err().to_string().contains("no [zone"));
    }

    #[test]
    fn environments_expand_and_expired_rules_are_said() {
        let text = r#"
            version = 1
            [env.prod]
            accounts = ["111111111111"]
            cidr = ["10.0.0.0/16"]
            [env.dev]
            accounts = ["222222222222"]
            cidr = ["10.0.0.0/16"]
            [zone.app]
            cidr = ["{env}.16.0/20"]
            [[ignore]]
            id = "old"
            from = "any"
            to = "app"
            until = "2026-01-01"
            ticket = "NET-1"
        "#;
        let intent = parse(text).unwrap();
        assert_eq!(intent.zones.iter().map(Zone::label).collect::<Vec<_>>(), ["dev/app", "prod/app"]);
        assert!(intent.rules.is_empty() && intent.notes[0].contains("NET-1"));
        let find = |account: &str| intent.by_account[account].find("10.0.17.1".parse().unwrap());
        assert_ne!(find("111111111111"), find("222222222222"));
    }
}

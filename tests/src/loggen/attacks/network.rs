//! Attacks that show in flow logs.

use super::{Label, moment, scaled, span};
use crate::loggen::estate::{Interface, Role, planted_address};
use crate::loggen::vpc_flow::traffic::{Volume, connection, refused};
use crate::loggen::vpc_flow::{End, Flow};
use crate::loggen::{Architecture, Estate, Plan, Random};
use std::net::Ipv4Addr;

const TCP: u8 = 6;

struct Stage<'a> {
    plan: &'a Plan,
    estate: &'a Estate,
    random: Random,
    flows: Vec<Flow>,
    labels: Vec<Label>,
}

/// All network attacks of `plan`, records sorted by time.
pub fn plant(plan: &Plan, estate: &Estate) -> (Vec<Flow>, Vec<Label>) {
    if plan.attacks <= 0.0 || plan.flows == 0 {
        return (Vec::new(), Vec::new());
    }
    let random = Random::new(plan.seed, "network attacks");
    let mut stage = Stage { plan, estate, random, flows: Vec::new(), labels: Vec::new() };
    stage.port_scan();
    stage.port_sweep();
    stage.brute_force("ssh_brute_force", 22, 0.42, 300);
    stage.brute_force("rdp_brute_force", 3_389, 0.48, 200);
    stage.database_reached();
    stage.exfiltration();
    stage.beacon();
    let Stage { mut flows, labels, .. } = stage;
    flows.sort_by_key(|flow| flow.start);
    (flows, labels)
}

impl Stage<'_> {
    fn planted(&self, number: u8) -> (usize, &Interface) {
        let index = self.estate.with_role(Role::Planted(number))[0];
        (index, &self.estate.interfaces[index])
    }

    fn planted_end(&self, number: u8, port: u16) -> End {
        let (index, interface) = self.planted(number);
        End { address: interface.address, port, interface: Some(index) }
    }

    fn port(&mut self) -> u16 {
        self.random.between(32_768, 60_999) as u16
    }

    fn label(
        &mut self,
        kind: &str,
        entity: Ipv4Addr,
        target: String,
        techniques: &[&str],
        first_flow: usize,
    ) {
        let records = &self.flows[first_flow..];
        let first = records.iter().map(|flow| flow.start).min().unwrap_or_default();
        let last = records.iter().map(|flow| flow.end).max().unwrap_or_default();
        let count = records.len() as u64;
        self.labels.push(Label {
            kind: kind.to_owned(),
            table: "vpc_flow".to_owned(),
            entity: entity.to_string(),
            target,
            techniques: techniques.iter().map(|&t| t.to_owned()).collect(),
            first,
            last,
            count,
        });
    }

    /// One outside address tries many ports of one host; a few are open.
    fn port_scan(&mut self) {
        let from = self.flows.len();
        let attacker = planted_address(&mut self.random);
        let ports = scaled(self.plan, 420).min(60_000);
        let (start, length) = (moment(self.plan, 0.30), span(self.plan, 240));
        for number in 0..ports {
            let at = start + number as i64 * length / ports as i64;
            let client = End { address: attacker, port: self.port(), interface: None };
            let server = self.planted_end(4, 1 + number as u16);
            if matches!(server.port, 22 | 3_389) {
                let volume = Volume {
                    start: at,
                    end: at,
                    packets_up: 2,
                    bytes_up: 100,
                    packets_down: 1,
                    bytes_down: 44,
                };
                connection(&mut self.flows, TCP, client, server, &volume);
            } else {
                refused(&mut self.flows, TCP, client, server, &Volume::probe(at, 44));
            }
        }
        let target = self.planted(4).1.address.to_string();
        self.label("port_scan", attacker, target, &["T1046", "T1595"], from);
    }

    /// A taken-over node looks for file shares on every address of the application subnets.
    fn port_sweep(&mut self) {
        let from = self.flows.len();
        let hosts = scaled(self.plan, 240).min(4_000);
        let (start, length) = (moment(self.plan, 0.36), span(self.plan, 300));
        let own = self.planted(1).1.address;
        for number in 0..hosts {
            let at = start + number as i64 * length / hosts as i64;
            let (block, host) = ((number / 250) as u8, (number % 250) as u8 + 4);
            let address = match self.estate.architecture {
                Architecture::A => Ipv4Addr::new(10, 0, 32 + block, host),
                Architecture::B => Ipv4Addr::new(10, 0, 11 + block, host),
            };
            if address == own {
                continue;
            }
            let interface =
                self.estate.interfaces.iter().position(|i| i.address == address || i.pods.contains(&address));
            let port = self.port();
            let client = self.planted_end(1, port);
            refused(
                &mut self.flows,
                TCP,
                client,
                End { address, port: 445, interface },
                &Volume::probe(at, 52),
            );
        }
        self.label("port_sweep", own, "port 445".to_owned(), &["T1046", "T1018", "T1021"], from);
    }

    /// Short sessions one after the other: the port is open, the passwords are wrong.
    fn brute_force(&mut self, kind: &str, port: u16, when: f64, attempts: u64) {
        let from = self.flows.len();
        let attacker = planted_address(&mut self.random);
        let attempts = scaled(self.plan, attempts);
        let (start, length) = (moment(self.plan, when), span(self.plan, 900));
        for number in 0..attempts {
            let at = start + (number as f64 * length as f64 / attempts as f64) as i64;
            let client = End { address: attacker, port: self.port(), interface: None };
            let volume = Volume {
                start: at,
                end: at + 2,
                packets_up: self.random.between(11, 15),
                bytes_up: self.random.between(1_900, 2_400),
                packets_down: self.random.between(10, 14),
                bytes_down: self.random.between(2_300, 2_900),
            };
            let server = self.planted_end(4, port);
            connection(&mut self.flows, TCP, client, server, &volume);
        }
        let target = self.planted(4).1.address.to_string();
        self.label(kind, attacker, target, &["T1110", "T1021"], from);
    }

    /// A host that is not part of the application talks to the database.
    fn database_reached(&mut self) {
        let from = self.flows.len();
        let databases = self.estate.with_role(Role::Database);
        let sessions = scaled(self.plan, 24);
        let (start, length) = (moment(self.plan, 0.55), span(self.plan, 1_800));
        for number in 0..sessions {
            let at = start + number as i64 * length / sessions as i64;
            let port = self.port();
            let client = self.planted_end(0, port);
            let interface = databases[number as usize % databases.len()];
            let address = self.estate.interfaces[interface].address;
            let volume = Volume {
                start: at,
                end: at + 20,
                packets_up: 60,
                bytes_up: self.random.between(6_000, 9_000),
                packets_down: 110,
                bytes_down: self.random.between(80_000, 140_000),
            };
            let server = End { address, port: 5_432, interface: Some(interface) };
            connection(&mut self.flows, TCP, client, server, &volume);
        }
        let own = self.planted(0).1.address;
        self.label(
            "database_reached",
            own,
            "port 5432".to_owned(),
            &["T1021", "T1210", "T1213", "T1190"],
            from,
        );
    }

    /// Gigabytes leave to one address nobody knows.
    fn exfiltration(&mut self) {
        let from = self.flows.len();
        let peer = planted_address(&mut self.random);
        let length = span(self.plan, 3_600).max(60);
        let start = moment(self.plan, 0.66);
        let total = scaled(self.plan, 24) * 1_000_000_000;
        let windows = (length / 60).max(1) as u64;
        let port = self.port();
        for window in 0..windows {
            let at = start + window as i64 * 60;
            let bytes_up = total / windows + self.random.below(1_000_000);
            let volume = Volume {
                start: at,
                end: at + 58,
                packets_up: bytes_up / 1_460,
                bytes_up,
                packets_down: bytes_up / 2_920,
                bytes_down: bytes_up / 2_920 * 52,
            };
            let (client, server) =
                (self.planted_end(2, port), End { address: peer, port: 443, interface: None });
            connection(&mut self.flows, TCP, client, server, &volume);
        }
        let own = self.planted(2).1.address;
        self.label("exfiltration", own, peer.to_string(), &["T1048", "T1041", "T1567", "T1030"], from);
    }

    /// A small call home every five minutes, with a little jitter, all the time.
    fn beacon(&mut self) {
        let from = self.flows.len();
        let peer = planted_address(&mut self.random);
        let mut at = self.plan.start + 30;
        while at < self.plan.end - 5 {
            let port = self.port();
            let (client, server) =
                (self.planted_end(3, port), End { address: peer, port: 443, interface: None });
            let volume = Volume {
                start: at,
                end: at + 1,
                packets_up: 9,
                bytes_up: self.random.between(1_180, 1_230),
                packets_down: 8,
                bytes_down: self.random.between(3_900, 4_000),
            };
            connection(&mut self.flows, TCP, client, server, &volume);
            at += 300 - 8 + self.random.below(17) as i64;
        }
        let own = self.planted(3).1.address;
        self.label("beacon", own, peer.to_string(), &["T1071", "T1571", "T1573", "T1095"], from);
    }
}

//! VPC flow logs as delivered to S3: one file per five minutes, grouped by interface, 60-second
//! windows, a header line that names the columns.
//!
//! A connection between two interfaces of the VPC is recorded by both, in both directions; behind a
//! NAT gateway the instance's own record, the gateway's inner record and its outer record differ,
//! with the packet's own addresses in `pkt-srcaddr` and `pkt-dstaddr`. Refused packets leave one
//! `REJECT` record and no answer. Interfaces without traffic say `NODATA`.

pub mod layout;
pub mod traffic;

use super::{Estate, Label, Object, Plan, Random, attacks, gzip, stamp};
use std::net::Ipv4Addr;

pub use layout::Layout;

/// Seconds covered by one file.
pub const DELIVERY: i64 = 300;
/// Seconds covered by one aggregation window.
pub const WINDOW: i64 = 60;

/// One end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Address as packets carry it.
    pub address: Ipv4Addr,
    /// Port; 0 for ICMP.
    pub port: u16,
    /// Interface in the VPC, when it is one of ours.
    pub interface: Option<usize>,
}

/// One flow record: one window of one 5-tuple on one interface.
#[derive(Debug, Clone)]
pub struct Flow {
    /// First packet, Unix seconds.
    pub start: i64,
    /// Last packet, Unix seconds.
    pub end: i64,
    /// Index of the interface that recorded it.
    pub interface: usize,
    /// srcaddr
    pub source: Ipv4Addr,
    /// dstaddr
    pub destination: Ipv4Addr,
    /// srcport
    pub source_port: u16,
    /// dstport
    pub destination_port: u16,
    /// IANA protocol number.
    pub protocol: u8,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// ACCEPT or REJECT.
    pub accepted: bool,
    /// OR of the TCP flags seen.
    pub tcp_flags: u8,
    /// Leaves the interface.
    pub egress: bool,
    /// pkt-srcaddr
    pub packet_source: Ipv4Addr,
    /// pkt-dstaddr
    pub packet_destination: Ipv4Addr,
    /// traffic-path; 0 where it does not apply.
    pub path: u8,
    /// AWS service of the packet's source; empty for none.
    pub source_service: &'static str,
    /// AWS service of the packet's destination; empty for none.
    pub destination_service: &'static str,
}

/// What one window of an interface holds besides flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// No traffic.
    NoData,
    /// Records were lost.
    SkipData,
}

/// Iterator over delivered files, oldest first.
#[derive(Debug)]
pub struct Objects {
    plan: Plan,
    estate: Estate,
    layout: Layout,
    planted: std::iter::Peekable<std::vec::IntoIter<Flow>>,
    random: Random,
    second: i64,
    made: u64,
    flow_log: String,
}

impl Objects {
    /// Files of `plan` in `layout`, together with the labels of the attacks planted in them.
    pub fn new(plan: &Plan, layout: Layout) -> (Self, Vec<Label>) {
        let estate = Estate::new(plan.seed, plan.architecture);
        let (planted, labels) = attacks::network::plant(plan, &estate);
        let mut random = Random::new(plan.seed, "vpc_flow");
        let flow_log = format!("fl-0{}", random.hex(16));
        let objects = Self {
            plan: plan.clone(),
            estate,
            layout,
            planted: planted.into_iter().peekable(),
            random,
            second: 0,
            made: 0,
            flow_log,
        };
        (objects, labels)
    }

    /// Everything recorded in the delivery interval that starts at `from` (seconds into the plan).
    fn interval(&mut self, from: i64, to: i64) -> (Vec<Flow>, Vec<(usize, i64, Gap)>) {
        let mut flows = Vec::new();
        let mut gaps = Vec::new();
        let mut window = from;
        while window < to {
            let length = WINDOW.min(to - window);
            let end = window + length;
            let due = self.plan.share_until(self.plan.flows, end);
            let at = self.plan.start + window;
            while self.planted.peek().is_some_and(|flow| flow.start < at + length) {
                flows.extend(self.planted.next());
                self.made += 1;
            }
            while self.made < due {
                let before = flows.len();
                traffic::benign(&self.estate, &mut self.random, at, length, &mut flows);
                self.made += (flows.len() - before) as u64;
            }
            self.gaps(at, &mut gaps);
            window = end;
        }
        (flows, gaps)
    }

    fn gaps(&mut self, at: i64, gaps: &mut Vec<(usize, i64, Gap)>) {
        for index in 0..self.estate.interfaces.len() {
            match self.estate.interfaces[index].role {
                super::estate::Role::Idle => gaps.push((index, at, Gap::NoData)),
                // AWS loses records now and then: about one window of an interface in 20,000.
                _ if self.random.below(20_000) == 0 => gaps.push((index, at, Gap::SkipData)),
                _ => {}
            }
        }
    }
}

impl Iterator for Objects {
    type Item = std::io::Result<Object>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.plan.flows == 0 || self.second >= self.plan.seconds() {
            return None;
        }
        let from = self.second;
        let to = (from + DELIVERY).min(self.plan.seconds());
        self.second = to;
        let (mut flows, gaps) = self.interval(from, to);
        // A file is grouped by interface, not sorted by time.
        flows.sort_by_key(|flow| flow.interface);
        let mut text = String::with_capacity(flows.len() * 160 + 256);
        text.push_str(self.layout.header());
        text.push('\n');
        for flow in &flows {
            self.layout.line(&mut text, &self.estate, flow);
        }
        for &(interface, at, gap) in &gaps {
            self.layout.gap(&mut text, &self.estate, interface, at, gap);
        }
        let skipped = gaps.iter().filter(|(_, _, gap)| *gap == Gap::NoData).count() as u64;
        let (account, region) = (&self.estate.production().id, self.estate.region);
        let at = self.plan.start + to;
        let key = format!(
            "AWSLogs/{account}/vpcflowlogs/{region}/{}/{account}_vpcflowlogs_{region}_{}_{}_{}.log.gz",
            stamp::key_date(at),
            self.flow_log,
            stamp::key_minute(at),
            self.random.hex(8)
        );
        Some(gzip(text.as_bytes()).map(|bytes| Object {
            key,
            bytes,
            records: (flows.len() + gaps.len()) as u64,
            skipped,
            inflated_bytes: text.len() as u64,
        }))
    }
}

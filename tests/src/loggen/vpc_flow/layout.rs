//! The columns of a flow-log file.

use super::{Flow, Gap, WINDOW};
use crate::loggen::Estate;
use crate::loggen::estate::Interface;
use std::fmt::Write;

/// Which columns a flow log was configured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// The 14 default columns.
    V2,
    /// 25 columns up to version 5, in an order of their own.
    V5,
}

impl Layout {
    /// The header line, without its newline.
    pub fn header(self) -> &'static str {
        match self {
            Layout::V2 => {
                "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
            }
            Layout::V5 => {
                "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr pkt-dstaddr protocol bytes packets start end action tcp-flags log-status flow-direction pkt-src-aws-service pkt-dst-aws-service traffic-path"
            }
        }
    }

    /// Appends the line of `flow`.
    pub fn line(self, text: &mut String, estate: &Estate, flow: &Flow) {
        let interface = &estate.interfaces[flow.interface];
        let account = &estate.production().id;
        let action = if flow.accepted { "ACCEPT" } else { "REJECT" };
        let Flow {
            source,
            destination,
            source_port,
            destination_port,
            protocol,
            packets,
            bytes,
            start,
            end,
            ..
        } = flow;
        // Writing into a String cannot fail.
        let _ = match self {
            Layout::V2 => writeln!(
                text,
                "2 {account} {} {source} {destination} {source_port} {destination_port} {protocol} {packets} {bytes} {start} {end} {action} OK",
                interface.id
            ),
            Layout::V5 => writeln!(
                text,
                "5 {} {} {} {} {account} IPv4 {source} {destination} {source_port} {destination_port} {} {} {protocol} {bytes} {packets} {start} {end} {action} {} OK {} {} {} {}",
                estate.vpc,
                interface.subnet,
                interface.instance,
                interface.id,
                flow.packet_source,
                flow.packet_destination,
                flow.tcp_flags,
                if flow.egress { "egress" } else { "ingress" },
                dash(flow.source_service),
                dash(flow.destination_service),
                Path(flow.path),
            ),
        };
    }

    /// Appends the line that says a window holds nothing, or lost something.
    pub fn gap(self, text: &mut String, estate: &Estate, interface: usize, start: i64, gap: Gap) {
        let Interface { id, subnet, instance, .. } = &estate.interfaces[interface];
        let account = &estate.production().id;
        let end = start + WINDOW - 1;
        let status = match gap {
            Gap::NoData => "NODATA",
            Gap::SkipData => "SKIPDATA",
        };
        let _ = match self {
            Layout::V2 => writeln!(text, "2 {account} {id} - - - - - - - {start} {end} - {status}"),
            Layout::V5 => writeln!(
                text,
                "5 {} {subnet} {instance} {id} {account} - - - - - - - - - - {start} {end} - - {status} - - - -",
                estate.vpc
            ),
        };
    }
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

struct Path(u8);

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("-"),
            path => write!(f, "{path}"),
        }
    }
}

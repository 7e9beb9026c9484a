//! Connections and the records they leave.

use super::{End, Flow};
use crate::loggen::estate::{Role, benign_address, office_address};
use crate::loggen::{Architecture, Estate, Random};
use std::net::Ipv4Addr;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const FIN: u8 = 1;

/// How much one connection moves.
#[derive(Debug, Clone, Copy)]
pub struct Volume {
    /// First packet, Unix seconds.
    pub start: i64,
    /// Last packet, Unix seconds.
    pub end: i64,
    /// Packets from the client.
    pub packets_up: u64,
    /// Bytes from the client.
    pub bytes_up: u64,
    /// Packets from the server.
    pub packets_down: u64,
    /// Bytes from the server.
    pub bytes_down: u64,
}

impl Volume {
    /// A request and its answer within one window.
    pub fn exchange(random: &mut Random, start: i64, length: i64, up: f64, down: f64) -> Self {
        let end = start + random.below(length.max(1) as u64) as i64;
        let bytes_up = random.long_tail(up, 0.7).max(60.0) as u64;
        let bytes_down = random.long_tail(down, 1.1).max(60.0) as u64;
        // 1,460 payload bytes a packet at most, and a handshake.
        Self {
            start,
            end,
            packets_up: 3 + bytes_up / 1_460 + bytes_down / 2_920,
            bytes_up,
            packets_down: 2 + bytes_down / 1_460,
            bytes_down,
        }
    }

    /// A single packet without an answer.
    pub fn probe(start: i64, bytes: u64) -> Self {
        Self { start, end: start, packets_up: 1, bytes_up: bytes, packets_down: 0, bytes_down: 0 }
    }
}

/// Records of an accepted connection: both directions on every interface of ours.
pub fn connection(flows: &mut Vec<Flow>, protocol: u8, client: End, server: End, volume: &Volume) {
    let flags = if protocol == TCP { (SYN | FIN, SYN_ACK | FIN) } else { (0, 0) };
    let up = record(protocol, client, server, volume, true, flags.0);
    let down = record(protocol, server, client, volume, false, flags.1);
    for (end, outgoing) in [(client, true), (server, false)] {
        if let Some(interface) = end.interface {
            flows.push(Flow { interface, egress: outgoing, ..up.clone() });
            if volume.packets_down > 0 {
                flows.push(Flow { interface, egress: !outgoing, ..down.clone() });
            }
        }
    }
}

/// Records of a refused packet: accepted where it left, rejected where it arrived.
pub fn refused(flows: &mut Vec<Flow>, protocol: u8, client: End, server: End, volume: &Volume) {
    let flags = if protocol == TCP { SYN } else { 0 };
    let up = record(protocol, client, server, volume, true, flags);
    if let Some(interface) = client.interface {
        flows.push(Flow { interface, egress: true, ..up.clone() });
    }
    if let Some(interface) = server.interface {
        flows.push(Flow { interface, accepted: false, ..up });
    }
}

fn record(protocol: u8, from: End, to: End, volume: &Volume, up: bool, tcp_flags: u8) -> Flow {
    Flow {
        start: volume.start,
        end: volume.end,
        interface: 0,
        source: from.address,
        destination: to.address,
        source_port: from.port,
        destination_port: to.port,
        protocol,
        packets: if up { volume.packets_up } else { volume.packets_down },
        bytes: if up { volume.bytes_up } else { volume.bytes_down },
        accepted: true,
        tcp_flags,
        egress: false,
        packet_source: from.address,
        packet_destination: to.address,
        path: 0,
        source_service: "",
        destination_service: "",
    }
}

/// One benign happening at second `at` of a window of `length` seconds.
pub fn benign(estate: &Estate, random: &mut Random, at: i64, length: i64, flows: &mut Vec<Flow>) {
    let start = at + random.below(length.max(1) as u64) as i64;
    let left = (at + length - start).max(1);
    match estate.architecture {
        Architecture::A => match random.weighted([22, 26, 18, 10, 9, 5, 1, 9].into_iter()) {
            0 => from_internet(estate, random, start, left, flows),
            1 => to_application(estate, random, start, left, flows),
            2 => to_database(estate, random, start, left, flows),
            3 => through_nat(estate, random, start, left, flows),
            4 => to_storage(estate, random, start, left, flows),
            5 => name_lookup(estate, random, start, flows),
            6 => office_ssh(estate, random, start, left, flows),
            _ => internet_noise(estate, random, start, flows),
        },
        Architecture::B => match random.weighted([40, 26, 20, 9, 5].into_iter()) {
            0 => to_application(estate, random, start, left, flows),
            1 => to_database(estate, random, start, left, flows),
            2 => to_endpoint(estate, random, start, left, flows),
            3 => to_storage(estate, random, start, left, flows),
            _ => name_lookup(estate, random, start, flows),
        },
    }
}

fn ephemeral(random: &mut Random) -> u16 {
    random.between(32_768, 60_999) as u16
}

/// An interface with `role`, on `port` or on an ephemeral one.
fn inside(estate: &Estate, random: &mut Random, role: Role, port: Option<u16>) -> End {
    let interface = *random.pick(&estate.with_role(role));
    let port = port.unwrap_or_else(|| ephemeral(random));
    End { address: estate.interfaces[interface].address, port, interface: Some(interface) }
}

fn outside(address: Ipv4Addr, port: u16) -> End {
    End { address, port, interface: None }
}

fn from_internet(estate: &Estate, random: &mut Random, start: i64, left: i64, flows: &mut Vec<Flow>) {
    let client = outside(benign_address(random), ephemeral(random));
    let port = if random.chance(0.93) { 443 } else { 80 };
    let server = inside(estate, random, Role::Balancer, Some(port));
    let volume = Volume::exchange(random, start, left, 2_200.0, 14_000.0);
    connection(flows, TCP, client, server, &volume);
}

fn to_application(estate: &Estate, random: &mut Random, start: i64, left: i64, flows: &mut Vec<Flow>) {
    let client = inside(estate, random, Role::Balancer, None);
    let server = inside(estate, random, Role::App, Some(8_080));
    let volume = Volume::exchange(random, start, left, 2_600.0, 11_000.0);
    let first = flows.len();
    connection(flows, TCP, client, server, &volume);
    // The packet goes to the pod; the record shows the interface's primary address.
    let pods = server.interface.map(|index| estate.interfaces[index].pods.as_slice()).unwrap_or_default();
    if !pods.is_empty() {
        let pod = *random.pick(pods);
        for flow in &mut flows[first..] {
            if flow.destination == server.address && Some(flow.interface) == server.interface {
                flow.packet_destination = pod;
            } else if flow.source == server.address && Some(flow.interface) == server.interface {
                flow.packet_source = pod;
            }
        }
    }
}

fn to_database(estate: &Estate, random: &mut Random, start: i64, left: i64, flows: &mut Vec<Flow>) {
    let client = inside(estate, random, Role::App, None);
    let server = inside(estate, random, Role::Database, Some(5_432));
    let volume = Volume::exchange(random, start, left, 3_500.0, 22_000.0);
    connection(flows, TCP, client, server, &volume);
}

fn to_endpoint(estate: &Estate, random: &mut Random, start: i64, left: i64, flows: &mut Vec<Flow>) {
    let client = inside(estate, random, Role::App, None);
    let server = inside(estate, random, Role::Endpoint, Some(443));
    let volume = Volume::exchange(random, start, left, 5_000.0, 7_000.0);
    connection(flows, TCP, client, server, &volume);
}

/// A call to a partner's API: recorded by the node, and twice by the NAT gateway.
fn through_nat(estate: &Estate, random: &mut Random, start: i64, left: i64, flows: &mut Vec<Flow>) {
    // A small, stable set of partners: new destinations are rare in a real egress path.
    let partner = Ipv4Addr::new(151, 101, random.below(3) as u8, random.between(10, 40) as u8);
    let client = inside(estate, random, Role::App, None);
    let gateway = inside(estate, random, Role::Nat, None);
    let server = outside(partner, 443);
    let volume = Volume::exchange(random, start, left, 3_000.0, 9_000.0);
    let first = flows.len();
    connection(flows, TCP, client, server, &volume);
    for flow in &mut flows[first..] {
        flow.path = if flow.egress { 1 } else { 0 };
    }
    let inner = flows.len();
    // The inner leg keeps the packet's own addresses.
    let leg = End { port: 443, ..gateway };
    connection(flows, TCP, End { interface: None, ..client }, leg, &volume);
    for flow in &mut flows[inner..] {
        if flow.source == client.address {
            flow.packet_destination = partner;
        } else {
            flow.packet_source = partner;
        }
    }
    let outer = flows.len();
    connection(flows, TCP, gateway, server, &volume);
    for flow in &mut flows[outer..] {
        flow.path = if flow.egress { 8 } else { 0 };
    }
}

/// S3 through its gateway endpoint: the destination is a public address of the service.
fn to_storage(estate: &Estate, random: &mut Random, start: i64, left: i64, flows: &mut Vec<Flow>) {
    let client = inside(estate, random, Role::App, None);
    let server =
        outside(Ipv4Addr::new(52, 219, random.between(168, 175) as u8, random.between(1, 254) as u8), 443);
    let volume = Volume::exchange(random, start, left, 60_000.0, 9_000.0);
    let first = flows.len();
    connection(flows, TCP, client, server, &volume);
    for flow in &mut flows[first..] {
        if flow.egress {
            (flow.path, flow.destination_service) = (7, "S3");
        } else {
            flow.source_service = "S3";
        }
    }
}

fn name_lookup(estate: &Estate, random: &mut Random, start: i64, flows: &mut Vec<Flow>) {
    let client = inside(estate, random, Role::App, None);
    let server = inside(estate, random, Role::App, Some(53));
    if client.interface == server.interface {
        return; // stays inside the node: flow logs never see it
    }
    let volume = Volume {
        start,
        end: start,
        packets_up: 2,
        bytes_up: random.between(130, 180),
        packets_down: 2,
        bytes_down: random.between(180, 420),
    };
    connection(flows, UDP, client, server, &volume);
}

fn office_ssh(estate: &Estate, random: &mut Random, start: i64, left: i64, flows: &mut Vec<Flow>) {
    let client = outside(office_address(random), ephemeral(random));
    let server = inside(estate, random, Role::Bastion, Some(22));
    let volume = Volume::exchange(random, start, left, 9_000.0, 16_000.0);
    connection(flows, TCP, client, server, &volume);
}

/// The Internet's background: every source knocks once and goes away.
fn internet_noise(estate: &Estate, random: &mut Random, start: i64, flows: &mut Vec<Flow>) {
    const PORTS: [u16; 14] =
        [23, 8_080, 5_060, 8_443, 2_323, 81, 1_433, 6_379, 5_555, 9_200, 11_211, 3_128, 7_547, 8_888];
    let client = outside(benign_address(random), ephemeral(random));
    let role = *random.pick(&[Role::Balancer, Role::Nat, Role::Bastion]);
    let port = *random.pick(&PORTS);
    let server = inside(estate, random, role, Some(port));
    let protocol = if port == 5_060 { UDP } else { TCP };
    refused(flows, protocol, client, server, &Volume::probe(start, random.between(40, 60)));
}

//! From conditions on addresses to conditions that statistics and bloom filters can answer.
//!
//! Addresses are stored as text, whose order is not that of addresses: `cidr_contains('10.0.0.0/8',
//! src_ip)` says nothing to a file that knows its smallest and largest text. But the texts of one
//! network are few ranges of texts: those of 10.0.0.0/8 all begin with `10.`. Such ranges, and the
//! single addresses of small networks, are added to a scan as further conditions. They only ever
//! narrow what is read: the condition itself is still decided for every row.
//!
//! This works for columns that hold canonical text, as the columns of our tables do.

use crate::config;
use crate::functions::cidr;
use crate::functions::known::Known;
use arrow::datatypes::{DataType, Schema};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};
use datafusion::scalar::ScalarValue;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::Ipv4Addr;

/// Columns that hold canonical addresses.
const COLUMNS: [&str; 4] = ["src_ip", "dst_ip", "pkt_srcaddr", "pkt_dstaddr"];

/// Networks of one condition that become ranges. Each is up to three ranges, which every row group
/// is asked about and which rows are compared with where filters are decided while decoding.
const NETWORKS_MAX: usize = 32;

/// Conditions that follow from `filters` for a scan over `schema`.
pub fn derived(filters: &[Expr], schema: &Schema) -> Vec<Expr> {
    filters.iter().filter_map(|filter| weaker(filter, schema)).collect()
}

/// A condition that holds wherever `expr` is true.
fn weaker(expr: &Expr, schema: &Schema) -> Option<Expr> {
    match expr {
        Expr::Alias(alias) => weaker(&alias.expr, schema),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (weaker(left, schema), weaker(right, schema)) {
                (Some(left), Some(right)) => Some(left.and(right)),
                (one, other) => one.or(other),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(implied(left, schema)?.or(implied(right, schema)?))
        }
        Expr::ScalarFunction(call) => inside(call, schema),
        _ => None,
    }
}

/// Within an `or`, a side that statistics understand by itself stays as it is.
fn implied(expr: &Expr, schema: &Schema) -> Option<Expr> {
    weaker(expr, schema).or_else(|| match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) if op.supports_propagation() => Some(expr.clone()),
        Expr::InList(list) if !list.negated => Some(expr.clone()),
        _ => None,
    })
}

fn inside(call: &ScalarFunction, schema: &Schema) -> Option<Expr> {
    let [first, second] = call.args.as_slice() else { return None };
    let networks = match call.func.name() {
        "cidr_contains" => return ranges(column(second, schema)?, &[cidr::network(text(first)?)?]),
        _ => call.func.inner().downcast_ref::<Known>()?.addresses(text(second)?)?,
    };
    ranges(column(first, schema)?, &networks.networks(config::IN_LIST_PRUNED_MAX)?)
}

/// A column of addresses, and its type.
fn column(expr: &Expr, schema: &Schema) -> Option<(Expr, DataType)> {
    match expr {
        Expr::Column(column) if COLUMNS.contains(&column.name.as_str()) => {
            let kind = schema.field_with_name(&column.name).ok()?.data_type().clone();
            Some((expr.clone(), kind))
        }
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => column(expr, schema),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str()?,
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => text(expr),
        _ => None,
    }
}

/// That the column's text is one of those that addresses of the networks have.
fn ranges((column, kind): (Expr, DataType), networks: &[IpNet]) -> Option<Expr> {
    let literal = |text: String| match kind {
        DataType::Utf8View => Some(lit(ScalarValue::Utf8View(Some(text)))),
        DataType::Utf8 => Some(lit(ScalarValue::Utf8(Some(text)))),
        _ => None,
    };
    let mut singles = Vec::new();
    let mut prefixes = Vec::new();
    for network in networks {
        match network {
            IpNet::V4(network) => texts_v4(*network, &mut singles, &mut prefixes),
            IpNet::V6(network) => texts_v6(*network, &mut singles, &mut prefixes)?,
        }
        if singles.len() > config::IN_LIST_PRUNED_MAX || prefixes.len() > NETWORKS_MAX * 6 {
            return None;
        }
    }
    let mut conditions = Vec::new();
    if !singles.is_empty() {
        let list: Option<Vec<Expr>> = singles.into_iter().map(literal).collect();
        conditions.push(column.clone().in_list(list?, false));
    }
    for (first, last) in prefixes {
        conditions.push(column.clone().gt_eq(literal(first)?).and(column.clone().lt(literal(last)?)));
    }
    conditions.into_iter().reduce(Expr::or)
}

/// An IPv4 address may also stand inside IPv6, as sockets of both versions write it.
const MAPPED: &str = "::ffff:";

/// The texts of an IPv4 network: each of a small one, else ranges of octets.
///
/// Ranges are half-open; `/` is the character after the dot, so `["10.", "10/")` is every text that
/// begins with `10.`.
fn texts_v4(network: Ipv4Net, singles: &mut Vec<String>, prefixes: &mut Vec<(String, String)>) {
    let (first, last) = (network.network().octets(), network.broadcast().octets());
    let length = network.prefix_len();
    // From /25 on the texts end in the varying octet; 256 more texts of one network would crowd out
    // others.
    if length > 24 {
        for address in u32::from(network.network())..=u32::from(network.broadcast()) {
            let address = Ipv4Addr::from(address);
            singles.push(address.to_string());
            singles.push(format!("{MAPPED}{address}"));
        }
        return;
    }
    if length == 0 {
        return;
    }
    let fixed = usize::from(length - 1) / 8;
    let head: String = first[..fixed].iter().map(|octet| format!("{octet}.")).collect();
    // Numbers with as many digits are in the order of their texts.
    for digits in [0..=9_u8, 10..=99, 100..=255] {
        let (low, high) = (first[fixed].max(*digits.start()), last[fixed].min(*digits.end()));
        if low <= high {
            let range = (format!("{head}{low}."), format!("{head}{high}/"));
            prefixes.push((format!("{MAPPED}{}", range.0), format!("{MAPPED}{}", range.1)));
            prefixes.push(range);
        }
    }
}

/// The texts of an IPv6 network: the address, or the groups that are whole and not zero, which are
/// always written out; `;` is the character after the colon. `None` where no group is.
fn texts_v6(network: Ipv6Net, singles: &mut Vec<String>, prefixes: &mut Vec<(String, String)>) -> Option<()> {
    if network.prefix_len() == 128 {
        singles.push(network.network().to_string());
        return Some(());
    }
    let groups = usize::from(network.prefix_len() / 16);
    let segments = network.network().segments();
    let written: Vec<String> = segments[..groups]
        .iter()
        .take_while(|group| **group != 0)
        .map(|group| format!("{group:x}"))
        .collect();
    if written.is_empty() {
        return None;
    }
    let head = written.join(":");
    prefixes.push((format!("{head}:"), format!("{head};")));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv6Addr};

    /// Whether the derived texts of a network include that of an address.
    fn includes(network: &str, address: &str) -> bool {
        let (mut singles, mut prefixes) = (Vec::new(), Vec::new());
        match network.parse().unwrap() {
            IpNet::V4(network) => texts_v4(network, &mut singles, &mut prefixes),
            IpNet::V6(network) => {
                if texts_v6(network, &mut singles, &mut prefixes).is_none() {
                    return true;
                }
            }
        }
        if singles.is_empty() && prefixes.is_empty() {
            return true;
        }
        singles.iter().any(|text| text == address)
            || prefixes.iter().any(|(first, last)| first.as_str() <= address && address < last.as_str())
    }

    #[test]
    fn texts_of_other_networks_are_left_out() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "100.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0", "1.0.0.1"),
            ("172.16.0.0/12", "172.31.255.255", "172.15.0.1"),
            ("172.16.0.0/12", "172.16.0.1", "172.32.0.1"),
            ("192.168.4.0/22", "192.168.7.9", "192.168.8.1"),
            ("192.0.2.0/24", "192.0.2.255", "192.0.20.1"),
            ("192.0.2.64/26", "192.0.2.127", "192.0.2.128"),
            ("203.0.113.7/32", "203.0.113.7", "203.0.113.70"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
            ("2600:1f18:0::/48", "2600:1f18::9", "2600:1f19::9"),
            ("2001:db8::7/128", "2001:db8::7", "2001:db8::77"),
        ] {
            assert!(includes(network, inside), "{network} {inside}");
            assert!(!includes(network, outside), "{network} {outside}");
        }
        assert!(includes("0.0.0.0/0", "8.8.8.8") && includes("fe80::/10", "fe80::1"));
    }

    #[test]
    fn only_what_is_understood_is_derived() {
        use datafusion::logical_expr::{ScalarUDF, col};
        let schema = Schema::new(vec![
            Field::new("src_ip", DataType::Utf8View, true),
            Field::new("source_ip_address", DataType::Utf8View, true),
            Field::new("dst_port", DataType::Int32, true),
        ]);
        let contains = |network: &str, column: &str| {
            ScalarUDF::from(cidr::CidrContains::default()).call(vec![lit(network), col(column)])
        };
        let one = |expr: Expr| derived(&[expr], &schema).first().map(ToString::to_string);
        let port = || col("dst_port").eq(lit(22));
        let range = one(contains("10.0.0.0/8", "src_ip")).unwrap();
        assert!(range.contains("src_ip >= Utf8View(\"10.\")"), "{range}");
        assert_eq!(one(contains("10.0.0.0/8", "src_ip").and(port())), Some(range.clone()));
        assert!(
            one(contains("10.0.0.0/8", "src_ip").or(port())).unwrap().ends_with("OR dst_port = Int32(22)")
        );
        for expr in [
            contains("10.0.0.0/8", "source_ip_address"),
            contains("10.0.0.0/8", "src_ip").is_null(),
            Expr::Not(Box::new(contains("10.0.0.0/8", "src_ip"))),
            contains("10.0.0.0/8", "src_ip").or(col("src_ip").is_null()),
            contains("0.0.0.0/0", "src_ip"),
            contains("fe80::/10", "src_ip"),
        ] {
            assert_eq!(one(expr.clone()), None, "{expr}");
        }
    }

    proptest! {
        #[test]
        fn no_address_of_a_network_is_left_out(network in any::<u32>(), length in 0_u8..=32, offset in any::<u32>()) {
            let network = Ipv4Net::new(network.into(), length).unwrap().trunc();
            let size = u64::from(u32::from(network.broadcast())) - u64::from(u32::from(network.network())) + 1;
            let offset = u32::try_from(u64::from(offset) % size).unwrap();
            let address = Ipv4Addr::from(u32::from(network.network()) + offset);
            prop_assert!(includes(&network.to_string(), &address.to_string()));
            prop_assert!(includes(&network.to_string(), &address.to_ipv6_mapped().to_string()));
        }

        #[test]
        fn no_address_of_an_ipv6_network_is_left_out(
            // Zero groups are where texts are shortened.
            groups in proptest::array::uniform8(prop_oneof![Just(0_u16), any::<u16>()]),
            rest in proptest::array::uniform8(prop_oneof![Just(0_u16), any::<u16>()]),
            length in 0_u8..=128,
        ) {
            let [a, b, c, d, e, f, g, h] = groups;
            let network = Ipv6Net::new(Ipv6Addr::new(a, b, c, d, e, f, g, h), length).unwrap().trunc();
            let [a, b, c, d, e, f, g, h] = rest;
            let mask = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            let address = u128::from(network.network()) | (u128::from(Ipv6Addr::new(a, b, c, d, e, f, g, h)) & mask);
            let address = IpAddr::V6(address.into());
            prop_assert!(includes(&network.to_string(), &address.to_string()));
        }
    }
}

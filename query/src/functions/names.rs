//! `proto_name(number)` and `port_name(number)`.

use super::only;
use arrow::array::{AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// IANA protocol numbers seen in flow logs.
/// <https://www.iana.org/assignments/protocol-numbers>
const PROTOCOLS: &[(i64, &str)] = &[
    (0, "hopopt"),
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipv4"),
    (6, "tcp"),
    (8, "egp"),
    (9, "igp"),
    (17, "udp"),
    (27, "rdp"),
    (33, "dccp"),
    (41, "ipv6"),
    (43, "ipv6-route"),
    (44, "ipv6-frag"),
    (46, "rsvp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (59, "ipv6-nonxt"),
    (60, "ipv6-opts"),
    (88, "eigrp"),
    (89, "ospf"),
    (94, "ipip"),
    (97, "etherip"),
    (103, "pim"),
    (108, "ipcomp"),
    (112, "vrrp"),
    (115, "l2tp"),
    (132, "sctp"),
    (136, "udplite"),
    (137, "mpls-in-ip"),
];

/// Services analysts meet by their port, in the names they use for them.
const PORTS: &[(i64, &str)] = &[
    (20, "ftp-data"),
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (25, "smtp"),
    (53, "dns"),
    (67, "dhcp"),
    (68, "dhcp"),
    (69, "tftp"),
    (80, "http"),
    (88, "kerberos"),
    (110, "pop3"),
    (111, "rpcbind"),
    (123, "ntp"),
    (135, "msrpc"),
    (137, "netbios"),
    (138, "netbios"),
    (139, "netbios"),
    (143, "imap"),
    (161, "snmp"),
    (162, "snmp-trap"),
    (179, "bgp"),
    (389, "ldap"),
    (443, "https"),
    (445, "smb"),
    (465, "smtps"),
    (500, "isakmp"),
    (514, "syslog"),
    (515, "printer"),
    (587, "submission"),
    (631, "ipp"),
    (636, "ldaps"),
    (853, "dns-over-tls"),
    (873, "rsync"),
    (990, "ftps"),
    (993, "imaps"),
    (995, "pop3s"),
    (1080, "socks"),
    (1194, "openvpn"),
    (1433, "mssql"),
    (1434, "mssql-browser"),
    (1521, "oracle"),
    (1723, "pptp"),
    (1883, "mqtt"),
    (2049, "nfs"),
    (2181, "zookeeper"),
    (2375, "docker"),
    (2376, "docker-tls"),
    (2379, "etcd"),
    (2380, "etcd-peer"),
    (3128, "http-proxy"),
    (3306, "mysql"),
    (3389, "rdp"),
    (4317, "otlp-grpc"),
    (4318, "otlp-http"),
    (4500, "ipsec-nat-t"),
    (5060, "sip"),
    (5061, "sips"),
    (5353, "mdns"),
    (5432, "postgresql"),
    (5439, "redshift"),
    (5601, "kibana"),
    (5671, "amqps"),
    (5672, "amqp"),
    (5900, "vnc"),
    (5985, "winrm"),
    (5986, "winrm-tls"),
    (6379, "redis"),
    (6443, "kubernetes"),
    (6667, "irc"),
    (8080, "http-alt"),
    (8443, "https-alt"),
    (8883, "mqtts"),
    (9042, "cassandra"),
    (9090, "prometheus"),
    (9092, "kafka"),
    (9094, "kafka-tls"),
    (9200, "elasticsearch"),
    (9300, "elasticsearch-peer"),
    (10250, "kubelet"),
    (10255, "kubelet-read-only"),
    (11211, "memcached"),
    (27017, "mongodb"),
    (51820, "wireguard"),
];

/// Looks a number up in a sorted list.
fn name_of(list: &'static [(i64, &'static str)], number: i64) -> Option<&'static str> {
    list.binary_search_by_key(&number, |entry| entry.0).ok().map(|index| list[index].1)
}

fn named(
    list: &'static [(i64, &'static str)],
    arguments: &ScalarFunctionArgs,
    name: &str,
) -> Result<ColumnarValue> {
    match only(&arguments.args, name)? {
        ColumnarValue::Scalar(ScalarValue::Int64(number)) => {
            let found = number.and_then(|number| name_of(list, number)).map(str::to_owned);
            Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(found)))
        }
        other => {
            let numbers = cast(&other.to_array(arguments.number_rows)?, &DataType::Int64)?;
            let names: StringViewArray = numbers
                .as_primitive::<Int64Type>()
                .iter()
                .map(|number| number.and_then(|number| name_of(list, number)))
                .collect();
            Ok(ColumnarValue::Array(Arc::new(names)))
        }
    }
}

/// `proto_name`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ProtoName {
    signature: Signature,
}

impl Default for ProtoName {
    fn default() -> Self {
        ProtoName { signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ProtoName {
    fn name(&self) -> &str {
        "proto_name"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        named(PROTOCOLS, &arguments, self.name())
    }
}

/// `port_name`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PortName {
    signature: Signature,
}

impl Default for PortName {
    fn default() -> Self {
        PortName { signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PortName {
    fn name(&self) -> &str {
        "port_name"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        named(PORTS, &arguments, self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::tests::column;

    #[test]
    fn lists_are_sorted_without_repeats() {
        for list in [PROTOCOLS, PORTS] {
            assert!(list.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[tokio::test]
    async fn numbers_of_any_width_are_named() {
        let rows = "(values (6::int), (17::int), (200::int), (null)) as t(p)";
        assert_eq!(
            column(&format!("select proto_name(p) from {rows}")).await.unwrap(),
            ["tcp", "udp", "NULL", "NULL"]
        );
        assert_eq!(column("select port_name(3389::bigint)").await.unwrap(), ["rdp"]);
        assert_eq!(column("select port_name(22::smallint)").await.unwrap(), ["ssh"]);
        assert_eq!(column("select port_name(null)").await.unwrap(), ["NULL"]);
    }
}

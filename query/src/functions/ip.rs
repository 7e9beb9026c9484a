//! `is_private(address)` and `ip_version(address)`.

use super::cidr::address;
use super::{map_text, only};
use arrow::array::{BooleanArray, Int32Array};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `is_private`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct IsPrivate {
    signature: Signature,
}

impl Default for IsPrivate {
    fn default() -> Self {
        IsPrivate { signature: Signature::string(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for IsPrivate {
    fn name(&self) -> &str {
        "is_private"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let argument = only(&arguments.args, self.name())?;
        map_text::<BooleanArray>(&argument, |text| address(text?).map(is_private))
    }
}

/// Whether an address is not routed on the internet.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || first == 0
        // RFC 6598, shared address space: carrier NAT, and EKS pods with secondary ranges.
        || (first == 100 && (64..128).contains(&second))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

/// `ip_version`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct IpVersion {
    signature: Signature,
}

impl Default for IpVersion {
    fn default() -> Self {
        IpVersion { signature: Signature::string(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for IpVersion {
    fn name(&self) -> &str {
        "ip_version"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let argument = only(&arguments.args, self.name())?;
        map_text::<Int32Array>(&argument, |text| {
            text?.parse::<IpAddr>().ok().map(|address| if address.is_ipv4() { 4 } else { 6 })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::tests::column;

    #[test]
    fn ranges_end_where_their_documents_say() {
        for (text, expected) in [
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("172.15.255.255", false),
            ("172.16.0.0", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("192.168.1.1", true),
            ("100.63.255.255", false),
            ("100.64.0.0", true),
            ("100.127.255.255", true),
            ("100.128.0.0", false),
            ("169.254.169.254", true),
            ("127.0.0.1", true),
            ("8.8.8.8", false),
            ("fd00::1", true),
            ("fe80::1", true),
            ("::1", true),
            ("2600:1f18::1", false),
            ("::ffff:10.0.0.1", true),
        ] {
            assert_eq!(address(text).map(is_private), Some(expected), "{text}");
        }
    }

    #[tokio::test]
    async fn the_version_is_that_of_the_text() {
        let rows = "(values ('10.0.0.1'), ('::1'), ('-'), (null)) as t(ip)";
        assert_eq!(
            column(&format!("select ip_version(ip) from {rows}")).await.unwrap(),
            ["4", "6", "NULL", "NULL"]
        );
    }
}

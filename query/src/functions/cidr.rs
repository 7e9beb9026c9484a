//! `cidr_contains(network, address)`.

use super::{map_text, text_column};
use arrow::array::BooleanArray;
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;

/// The function. A constant network is parsed once.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CidrContains {
    signature: Signature,
}

impl Default for CidrContains {
    fn default() -> Self {
        CidrContains { signature: Signature::string(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for CidrContains {
    fn name(&self) -> &str {
        "cidr_contains"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [networks, addresses] = arguments.args.as_slice() else {
            return Err(DataFusionError::Plan("cidr_contains takes a network and an address".to_owned()));
        };
        match networks {
            ColumnarValue::Scalar(value) => {
                let Some(text) = value.try_as_str().flatten() else {
                    return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None)));
                };
                let network = network(text).ok_or_else(|| {
                    DataFusionError::Plan(format!(
                        "cidr_contains: '{text}' is no network, write e.g. '10.0.0.0/8' or '2001:db8::/32'"
                    ))
                })?;
                map_text::<BooleanArray>(addresses, |text| Some(network.contains(&address(text?)?)))
            }
            ColumnarValue::Array(networks) => {
                let rows = networks.len();
                let networks = text_column(networks)?;
                let addresses = text_column(&addresses.to_array(rows)?)?;
                let inside: BooleanArray = networks
                    .iter()
                    .zip(addresses.iter())
                    .map(|(network_text, text)| Some(network(network_text?)?.contains(&address(text?)?)))
                    .collect();
                Ok(ColumnarValue::Array(Arc::new(inside)))
            }
        }
    }
}

/// A network, or a single address as the network that holds only it.
pub fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// An address; IPv4 written inside IPv6 (`::ffff:10.0.0.1`) is that IPv4 address.
pub fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::column;

    #[tokio::test]
    async fn networks_of_both_versions_hold_their_addresses_only() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", "true"),
            ("10.0.0.0/8", "11.0.0.1", "false"),
            ("10.1.2.3/8", "10.9.9.9", "true"),
            ("192.0.2.7", "192.0.2.7", "true"),
            ("0.0.0.0/0", "8.8.8.8", "true"),
            ("0.0.0.0/0", "2001:db8::1", "false"),
            ("2001:db8::/32", "2001:db8:ffff::1", "true"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "true"),
            ("10.0.0.0/8", "not an address", "NULL"),
            ("10.0.0.0/8", "10.0.0.01", "NULL"),
        ] {
            let found = column(&format!("select cidr_contains('{network}', '{address}')")).await.unwrap();
            assert_eq!(found, [expected], "{network} {address}");
        }
    }

    #[tokio::test]
    async fn columns_on_either_side_work_and_nulls_stay() {
        let rows = "(values ('10.0.0.0/8', '10.0.0.1'), ('bad', '10.0.0.1'), (null, '1.1.1.1'), ('1.1.1.0/24', null)) as t(n, a)";
        let found = column(&format!("select cidr_contains(n, a) from {rows}")).await.unwrap();
        assert_eq!(found, ["true", "NULL", "NULL", "NULL"]);
        let found = column(&format!("select cidr_contains('10.0.0.0/8', a) from {rows}")).await.unwrap();
        assert_eq!(found, ["true", "true", "false", "NULL"]);
    }

    #[tokio::test]
    async fn a_constant_that_is_no_network_is_an_error() {
        let error = column("select cidr_contains('10.0.0.0/33', '10.0.0.1')").await.unwrap_err();
        assert!(error.to_string().contains("10.0.0.0/33"), "{error}");
    }
}

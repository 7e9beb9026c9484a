//! SQL functions for people who read security logs, registered in every session.
//!
//! All are pure. A text that is no address gives null rather than an error: one odd record must not
//! end a query. A constant argument that cannot be right (a network, a span of time) is an error
//! while planning.

pub mod address_list;
pub mod address_set;
pub mod ago;
pub mod cidr;
pub mod defang;
pub mod entropy;
pub mod geography;
pub mod inventory;
pub mod ip;
pub mod known;
pub mod names;
pub mod time_bucket;
pub mod top_k;
pub mod user_agent;

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{AggregateUDF, ColumnarValue, ScalarUDF};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use inventory::Inventory;
use std::fmt::Write;
use std::sync::Arc;

/// One function for the list.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Name in SQL.
    pub name: &'static str,
    /// How to call it.
    pub usage: &'static str,
    /// What it gives, in one line.
    pub doc: &'static str,
}

const fn function(name: &'static str, usage: &'static str, doc: &'static str) -> Function {
    Function { name, usage, doc }
}

/// Every function logq adds to those of the engine.
pub const ALL: &[Function] = &[
    function(
        "ago",
        "ago('6h')",
        "The time that long before the query started: 30m, 24h, 7d, 2w. Prunes partitions.",
    ),
    function(
        "cidr_contains",
        "cidr_contains('10.0.0.0/8', src_ip)",
        "Whether the network holds the address, IPv4 or IPv6; null when the text is no address.",
    ),
    function(
        "is_private",
        "is_private(dst_ip)",
        "Whether the address is not routed on the internet: RFC 1918, shared (100.64.0.0/10), loopback, link-local, IPv6 unique local.",
    ),
    function(
        "in_list",
        "in_list(src_ip, 'tor')",
        "Whether the address is in a list given with --ip-list NAME=FILE; single addresses, networks and ranges.",
    ),
    function(
        "ip_in",
        "ip_in(dst_ip, 'db')",
        "Whether the address is in a zone or set of --zones FILE, in a list, or in one of rfc1918, shared, loopback, link_local, unique_local, multicast, documentation, aws_local.",
    ),
    function(
        "zone",
        "zone(src_ip, account_id)",
        "Zone of the address in --zones FILE, by longest prefix; 'internet' for others that are reachable there. The account decides where accounts share addresses.",
    ),
    function(
        "geo",
        "geo(src_ip, 'city')",
        "Country code of the address, or its 'city', 'subdivision' or 'continent', from --geoip FILE.",
    ),
    function("asn", "asn(src_ip)", "Number of the network that announces the address, from --geoip FILE."),
    function("as_name", "as_name(src_ip)", "Organisation behind that network, from --geoip FILE."),
    function("ip_version", "ip_version(src_ip)", "4 or 6; null when the text is no address."),
    function(
        "proto_name",
        "proto_name(protocol)",
        "Name of an IANA protocol number: 6 is tcp, 17 udp, 1 icmp.",
    ),
    function(
        "port_name",
        "port_name(dst_port)",
        "Usual service of a port: 22 is ssh, 3389 rdp; null when there is none.",
    ),
    function(
        "defang",
        "defang(body)",
        "The text with addresses and URLs made unclickable: hxxp://evil[.]example.",
    ),
    function(
        "user_agent",
        "user_agent(user_agent)",
        "Program behind a user agent, without versions: aws-cli, Boto3, Terraform, AWS console, Firefox.",
    ),
    function(
        "time_bucket",
        "time_bucket('5m', event_time)",
        "Start of the interval the time lies in, counted from 1970.",
    ),
    function(
        "entropy",
        "entropy(body)",
        "Shannon entropy of the text in bits per byte: about 3 for words, above 4 for random names.",
    ),
    function(
        "approx_top_k",
        "approx_top_k(src_ip, 10)",
        "Aggregate: the most frequent values with their counts, in bounded memory; exact up to 2,000 distinct values.",
    ),
    function(
        "json_match",
        "json_match(request_parameters, 'policyArn', 'like', '%Admin%')",
        "Whether any value at a dotted path matches; arrays on the way are descended into. Used by the SQL of findings.",
    ),
    function(
        "json_first",
        "json_first(user_identity, 'sessionContext.attributes.mfaAuthenticated')",
        "First value at a dotted path as text; arrays on the way are descended into.",
    ),
    function(
        "json_get_str",
        "json_get_str(request_parameters, 'bucketName')",
        "Text at a path; more keys or array indices may follow.",
    ),
    function("json_get_int", "json_get_int(attributes, 'status')", "Integer at a path."),
    function("json_get_float", "json_get_float(attributes, 'duration')", "Number at a path."),
    function("json_get_bool", "json_get_bool(attributes, 'cached')", "Boolean at a path."),
    function("json_get_json", "json_get_json(user_identity, 'sessionContext')", "JSON text at a path."),
    function("json_get_array", "json_get_array(resources)", "Array at a path, its elements as JSON text."),
    function(
        "json_as_text",
        "attributes->>'user'",
        "Any value at a path as text; the operator ->> is the same.",
    ),
    function(
        "json_get",
        "attributes->'user'",
        "Any value at a path, to go on with; the operator -> is the same.",
    ),
    function(
        "json_contains",
        "json_contains(request_parameters, 'policy')",
        "Whether the path exists; the operator ? is the same.",
    ),
    function("json_length", "json_length(resources)", "Number of elements or keys at a path."),
    function("json_object_keys", "json_object_keys(attributes)", "Keys at a path."),
];

/// Registers all of them, those over addresses with what `inventory` knows.
///
/// # Errors
/// When the engine refuses one; that would be a defect of logq.
pub fn register(context: &SessionContext, inventory: &Arc<Inventory>) -> Result<()> {
    for known in known::Known::all(inventory) {
        context.register_udf(ScalarUDF::from(known));
    }
    context.register_udaf(AggregateUDF::from(top_k::ApproxTopK::default()));
    for udf in [
        ScalarUDF::from(ago::Ago::default()),
        ScalarUDF::from(cidr::CidrContains::default()),
        ScalarUDF::from(ip::IsPrivate::default()),
        ScalarUDF::from(ip::IpVersion::default()),
        ScalarUDF::from(names::ProtoName::default()),
        ScalarUDF::from(names::PortName::default()),
        ScalarUDF::from(defang::Defang::default()),
        ScalarUDF::from(entropy::Entropy::default()),
        ScalarUDF::from(time_bucket::TimeBucket::default()),
        ScalarUDF::from(user_agent::UserAgent::default()),
    ] {
        context.register_udf(udf);
    }
    crate::detect::register(context);
    let state = context.state_ref();
    let mut state = state.write();
    datafusion_functions_json::register_all(&mut *state)
}

/// The functions as Markdown, for the reference page.
pub fn reference() -> String {
    let mut page = String::from("| function | example | meaning |\n|---|---|---|\n");
    for Function { name, usage, doc } in ALL {
        let _ = writeln!(page, "| `{name}` | `{usage}` | {doc} |");
    }
    page
}

/// Applies `each` to one text argument: once for a constant, per row for a column.
fn map_text<A: FromOptional>(
    argument: &ColumnarValue,
    each: impl Fn(Option<&str>) -> A::Item,
) -> Result<ColumnarValue> {
    match argument {
        ColumnarValue::Scalar(value) => {
            let text = value.try_as_str().flatten();
            let one = A::collect(std::iter::once(each(text)));
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
        }
        ColumnarValue::Array(values) => {
            let texts = text_column(values)?;
            Ok(ColumnarValue::Array(A::collect(texts.iter().map(each))))
        }
    }
}

/// Arrays made from an iterator of optional values.
trait FromOptional {
    /// One value, possibly null.
    type Item;
    /// All values as one array.
    fn collect(items: impl Iterator<Item = Self::Item>) -> ArrayRef;
}

impl FromOptional for arrow::array::BooleanArray {
    type Item = Option<bool>;
    fn collect(items: impl Iterator<Item = Option<bool>>) -> ArrayRef {
        Arc::new(items.collect::<Self>())
    }
}

impl FromOptional for arrow::array::Int32Array {
    type Item = Option<i32>;
    fn collect(items: impl Iterator<Item = Option<i32>>) -> ArrayRef {
        Arc::new(items.collect::<Self>())
    }
}

impl FromOptional for arrow::array::Int64Array {
    type Item = Option<i64>;
    fn collect(items: impl Iterator<Item = Option<i64>>) -> ArrayRef {
        Arc::new(items.collect::<Self>())
    }
}

impl FromOptional for arrow::array::Float64Array {
    type Item = Option<f64>;
    fn collect(items: impl Iterator<Item = Option<f64>>) -> ArrayRef {
        Arc::new(items.collect::<Self>())
    }
}

impl FromOptional for StringViewArray {
    type Item = Option<String>;
    fn collect(items: impl Iterator<Item = Option<String>>) -> ArrayRef {
        Arc::new(items.collect::<Self>())
    }
}

/// Any column of text as one type.
fn text_column(values: &ArrayRef) -> Result<StringViewArray> {
    Ok(cast(values, &DataType::Utf8View)?.as_string_view().clone())
}

/// The only argument of a function of one.
fn only(arguments: &[ColumnarValue], name: &str) -> Result<ColumnarValue> {
    match arguments {
        [one] => Ok(one.clone()),
        _ => Err(DataFusionError::Plan(format!("{name} takes one argument"))),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use arrow::array::Array as _;
    use arrow::util::display::array_value_to_string;
    use datafusion::execution::FunctionRegistry as _;

    /// The values of the first column of a query, `NULL` for null.
    pub(crate) async fn column(sql: &str) -> Result<Vec<String>> {
        column_with(sql, Inventory::default()).await
    }

    /// The same with what a session knows.
    pub(crate) async fn column_with(sql: &str, inventory: Inventory) -> Result<Vec<String>> {
        let context = SessionContext::new();
        register(&context, &Arc::new(inventory))?;
        let mut found = Vec::new();
        for batch in context.sql(sql).await?.collect().await? {
            for row in 0..batch.num_rows() {
                let values = batch.column(0);
                found.push(match values.is_null(row) {
                    true => "NULL".to_owned(),
                    false => array_value_to_string(values, row)?,
                });
            }
        }
        Ok(found)
    }

    #[tokio::test]
    async fn every_listed_function_exists_under_its_name() {
        let context = SessionContext::new();
        register(&context, &Arc::default()).unwrap();
        for function in ALL {
            let exists = context.udf(function.name).is_ok() || context.udaf(function.name).is_ok();
            assert!(exists, "{}", function.name);
        }
    }

    #[tokio::test]
    async fn constants_and_columns_give_the_same() {
        let texts = "(values ('10.0.0.1'), ('8.8.8.8'), ('x'), (null), ('::1')) as t(ip)";
        let by_row = column(&format!("select is_private(ip) from {texts}")).await.unwrap();
        assert_eq!(by_row, ["true", "false", "NULL", "NULL", "true"]);
        for (text, expected) in [("'10.0.0.1'", "true"), ("'x'", "NULL"), ("null", "NULL")] {
            assert_eq!(column(&format!("select is_private({text})")).await.unwrap(), [expected]);
        }
    }
}

//! From a field as its source spells it to the column that holds it here.

use logq_schemas::{Column, Kind, Table, tables};

/// Fields behind core columns, which mean the same in every table and so carry no field name of
/// their own.
const CORE_FIELDS: &[(&str, &str, &str)] = &[
    ("vpc_flow", "srcaddr", "src_ip"),
    ("vpc_flow", "dstaddr", "dst_ip"),
    ("vpc_flow", "srcport", "src_port"),
    ("vpc_flow", "dstport", "dst_port"),
    ("vpc_flow", "start", "event_time"),
    ("vpc_flow", "action", "action"),
    ("vpc_flow", "account-id", "account_id"),
    ("vpc_flow", "version", "record_version"),
    ("cloudtrail", "eventTime", "event_time"),
    ("cloudtrail", "eventID", "event_uid"),
    ("cloudtrail", "awsRegion", "region"),
    ("cloudtrail", "userIdentity.accountId", "account_id"),
    ("app_log", "Timestamp", "event_time"),
    ("app_log", "message", "body"),
    ("app_log", "log", "body"),
];

/// Where the field `name` is found in `tables`; `None` when none of them has it.
///
/// Case, `-`, `_` and `.` are ignored: SQL lower-cases what is not quoted.
pub fn hint(name: &str, tables: &[&str]) -> Option<String> {
    tables.iter().filter_map(|table| tables::by_name(table)).find_map(|table| hint_in(name, table))
}

fn hint_in(name: &str, table: &Table) -> Option<String> {
    let wanted = folded(name);
    let core = CORE_FIELDS
        .iter()
        .find(|(of, field, _)| *of == table.name && folded(field) == wanted)
        .and_then(|(_, _, column)| table.column(column));
    let own = || table.columns().find(|column| !column.field.is_empty() && folded(column.field) == wanted);
    if let Some(column) = core.or_else(own) {
        return Some(format!("{name} of the source is the column {} of {}", column.name, table.name));
    }
    nested(name, table)
}

/// A path into a column kept as JSON: `requestParameters.bucketName`.
fn nested(name: &str, table: &Table) -> Option<String> {
    let (head, rest) = name.split_once('.')?;
    let head = folded(head);
    let column: &Column = table.columns().find(|column| {
        column.kind == Kind::Json && (folded(column.field) == head || folded(column.name) == head)
    })?;
    let path: Vec<String> = rest.split('.').map(|key| format!("'{key}'")).collect();
    Some(format!(
        "{} of {} holds JSON text, write json_get_str({}, {}) with the keys spelled as in the source",
        column.name,
        table.name,
        column.name,
        path.join(", ")
    ))
}

fn folded(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_field_leads_to_a_column_that_exists() {
        for (table, field, column) in CORE_FIELDS {
            let table = tables::by_name(table).unwrap();
            assert!(table.column(column).is_some(), "{}.{column} for {field}", table.name);
        }
    }

    #[test]
    fn spelling_does_not_matter_and_tables_do() {
        for (name, table, column) in [
            ("srcaddr", "vpc_flow", "src_ip"),
            ("pkt-srcaddr", "vpc_flow", "pkt_srcaddr"),
            ("eventname", "cloudtrail", "event_name"),
            ("useridentity.sessioncontext.sessionissuer.arn", "cloudtrail", "session_issuer_arn"),
            ("k8s.pod.name", "app_log", "pod"),
        ] {
            let found = hint(name, &[table]);
            assert!(found.as_deref().is_some_and(|text| text.contains(column)), "{name}: {found:?}");
        }
        assert_eq!(hint("srcaddr", &["cloudtrail"]), None);
        assert_eq!(hint("srcaddr", &[]), None);
        let nested = hint("requestparameters.bucketname", &["cloudtrail"]).unwrap();
        assert!(nested.contains("json_get_str(request_parameters, 'bucketname')"), "{nested}");
    }
}

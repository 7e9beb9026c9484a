//! What the columns of a flow log line are.

use crate::formats::columns::index;
use logq_schemas::tables::vpc_flow::TABLE;
use logq_schemas::{Kind, Table};
use std::sync::Arc;

/// Where a field of a line goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A text column.
    Text(usize),
    /// `account-id`.
    Account,
    /// `interface-id`, also the actor.
    Interface,
    /// `tgw-attachment-id`, the actor of transit gateway flows.
    Attachment(usize),
    /// `srcaddr` and `dstaddr`: canonical, or `unmapped` under the name.
    Address(usize, &'static str),
    /// `pkt-srcaddr` and `pkt-dstaddr`: canonical where they are addresses.
    PacketAddress(usize),
    /// A 32-bit number, by the name of its field.
    Int(usize, &'static str),
    /// A 64-bit number, by the name of its field.
    Long(usize, &'static str),
    /// `start`.
    Start,
    /// `end`.
    End,
    /// `action`.
    Action,
    /// `log-status`.
    Status(usize),
    /// A field this version does not know, by name.
    Unknown(String),
}

/// The fields of a line, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// One per column of the text.
    pub fields: Arc<[Field]>,
    /// Whether it was read from a header line or from the columns of a Parquet file.
    pub from_header: bool,
    /// Whether the configuration declares it.
    pub configured: bool,
}

/// The default format, version 2.
const DEFAULT: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

/// Most columns a header may have: all 42 fields of version 10 and the transit gateway's, twice.
const FIELDS_MAX: usize = 128;

impl Layout {
    /// The default format, for lines without a header.
    pub fn default_v2() -> Self {
        Self {
            fields: DEFAULT.split(' ').map(|name| field(name).unwrap_or(Field::Start)).collect(),
            from_header: false,
            configured: false,
        }
    }
}

/// The layout a header line declares; `None` when the line is no header.
///
/// A header names fields only: lower-case words without digits in the first place, at least two and
/// at least half of them known.
pub fn layout(line: &[u8]) -> Option<Layout> {
    let line = line.trim_ascii();
    if !line.first()?.is_ascii_lowercase() {
        return None;
    }
    let first = line.split(|byte| is_blank(*byte)).next()?;
    if first.iter().any(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b':')) {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    let fields = fields(text.split_ascii_whitespace())?;
    Some(Layout { fields, from_header: true, configured: false })
}

/// The fields that these names declare; `None` when they are not those of a flow log: at least two and
/// at least half of them must be known.
pub fn fields<'n>(tokens: impl Iterator<Item = &'n str>) -> Option<Arc<[Field]>> {
    let mut fields = Vec::new();
    let mut known = 0;
    let mut names: Vec<String> = Vec::new();
    for token in tokens {
        if fields.len() == FIELDS_MAX || !token.bytes().all(is_name_byte) {
            return None;
        }
        let name = token.replace('_', "-");
        // A name that comes twice fills its column once; the second goes to `unmapped`.
        let repeated = names.contains(&name);
        match field(&name).filter(|_| !repeated) {
            Some(field) => {
                known += 1;
                fields.push(field);
            }
            None => fields.push(Field::Unknown(token.to_owned())),
        }
        names.push(name);
    }
    (known >= 2 && known * 2 >= fields.len()).then(|| fields.into())
}

/// Whether a field's name may hold this byte.
pub fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

/// Blanks between fields; documentation and some exports use several, or tabs.
pub fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// The field called `name`, in AWS's spelling.
fn field(name: &str) -> Option<Field> {
    const T: &Table = &TABLE;
    Some(match name {
        "account-id" => Field::Account,
        "interface-id" => Field::Interface,
        "tgw-attachment-id" => Field::Attachment(index(T, "tgw_attachment_id")),
        "srcaddr" => Field::Address(index(T, "src_ip"), "srcaddr"),
        "dstaddr" => Field::Address(index(T, "dst_ip"), "dstaddr"),
        "pkt-srcaddr" => Field::PacketAddress(index(T, "pkt_srcaddr")),
        "pkt-dstaddr" => Field::PacketAddress(index(T, "pkt_dstaddr")),
        "srcport" => Field::Int(index(T, "src_port"), "srcport"),
        "dstport" => Field::Int(index(T, "dst_port"), "dstport"),
        "start" => Field::Start,
        "end" => Field::End,
        "action" => Field::Action,
        "log-status" => Field::Status(index(T, "log_status")),
        "region" => Field::Text(index(T, "region")),
        _ => {
            let column = TABLE.own.iter().find(|column| column.field == name)?;
            let at = index(T, column.name);
            match column.kind {
                Kind::Int => Field::Int(at, column.field),
                Kind::Long => Field::Long(at, column.field),
                _ => Field::Text(at),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_field_has_a_column() {
        let all = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end \
            action log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id \
            sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path \
            ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id ecs-container-id \
            ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id reject-reason \
            resource-id encryption-status resource-type tgw-id tgw-attachment-id tgw-src-vpc-account-id \
            tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni \
            tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id packets-lost-no-route \
            packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired";
        let layout = layout(all.as_bytes()).unwrap();
        assert!(!layout.fields.iter().any(|field| matches!(field, Field::Unknown(_))), "{:?}", layout.fields);
        assert_eq!(layout.fields.len(), 60);
    }

    #[test]
    fn headers_are_told_from_data() {
        for line in [
            "2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK",
            "i-01234567890123456 eni-1111aaaa2222bbbb3 10.0.1.5 203.0.113.5 10.0.1.5 203.0.113.5",
            "- eni-1235b8ca123456789 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5",
            "...",
            "Phony unsupported log format.",
            "the start of an end",
            "",
            "ingress OK",
        ] {
            assert!(layout(line.as_bytes()).is_none(), "{line}");
        }
        for line in [
            "instance-id interface-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr",
            "version account_id new-field start",
            "\tversion  vpc-id \r",
        ] {
            assert!(layout(line.as_bytes()).is_some(), "{line}");
        }
    }

    #[test]
    fn a_repeated_name_fills_its_column_once() {
        let layout = layout(b"version srcaddr srcaddr").unwrap();
        assert_eq!(layout.fields[2], Field::Unknown("srcaddr".to_owned()));
    }
}

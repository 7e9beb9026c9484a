//! Which table a Sigma log source means, and which column or JSON path its field names mean.

use super::predicate::{Predicate, Target, Test};
use super::problem::{RuleError, unsupported};
use logq_schemas::{Kind, Table, tables};

/// A Sigma `logsource`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSource {
    /// `product`.
    pub product: Option<String>,
    /// `service`.
    pub service: Option<String>,
    /// `category`.
    pub category: Option<String>,
}

/// The event table a rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// CloudTrail events.
    Cloudtrail,
    /// VPC flow records.
    VpcFlow,
    /// Container logs.
    AppLog,
}

/// Fields of a record that became core columns under another name.
const CLOUDTRAIL_CORE: &[(&str, &str)] =
    &[("eventTime", "event_time"), ("eventID", "event_uid"), ("awsRegion", "region")];

/// Flow log fields that became core columns.
const FLOW_CORE: &[(&str, &str)] = &[
    ("srcaddr", "src_ip"),
    ("dstaddr", "dst_ip"),
    ("srcport", "src_port"),
    ("dstport", "dst_port"),
    ("account-id", "account_id"),
    ("start", "event_time"),
    // Names of firewall rules.
    ("bytes_out", "bytes"),
    ("SourceIP", "src_ip"),
    ("DestinationIP", "dst_ip"),
    ("SourcePort", "src_port"),
    ("DestinationPort", "dst_port"),
    ("DestinationIp", "dst_ip"),
    ("SourceIp", "src_ip"),
];

/// Services of Linux whose log lines the collector takes from files or the journal.
const LINUX_SERVICES: [&str; 8] = ["sshd", "auth", "syslog", "sudo", "cron", "vsftpd", "clamav", "guacamole"];

/// Names web server rules use, and the columns an access log line is parsed into.
const WEB: &[(&str, &str)] = &[
    ("cs-method", "http_method"),
    ("cs-uri", "http_path"),
    ("cs-uri-stem", "http_path"),
    ("cs-uri-query", "http_path"),
    ("c-uri", "http_path"),
    ("sc-status", "http_status"),
    ("sc-bytes", "http_bytes"),
    ("cs-user-agent", "http_user_agent"),
    ("c-useragent", "http_user_agent"),
    ("cs-referer", "http_referer"),
    ("c-ip", "src_ip"),
];

/// Columns an unbound keyword is looked for in.
const CLOUDTRAIL_KEYWORDS: &[&str] = &[
    "event_name",
    "event_source",
    "error_code",
    "error_message",
    "user_agent",
    "source_ip_address",
    "user_identity",
    "request_parameters",
    "response_elements",
    "additional_event_data",
    "resources",
    "service_event_details",
    "unmapped",
];

impl Source {
    /// The table of a log source, and what marks its rows there.
    ///
    /// # Errors
    /// A log source whose logs are in none of our tables.
    pub fn of(source: &LogSource) -> Result<(Source, Option<Predicate>), RuleError> {
        let lower = |text: &Option<String>| text.as_deref().unwrap_or_default().to_ascii_lowercase();
        let (product, service, category) =
            (lower(&source.product), lower(&source.service), lower(&source.category));
        match (product.as_str(), service.as_str(), category.as_str()) {
            ("aws", "cloudtrail", _) => Ok((Source::Cloudtrail, None)),
            ("aws", "vpcflow" | "vpc_flow" | "flowlogs" | "vpcflowlogs", _) => Ok((Source::VpcFlow, None)),
            ("" | "aws", "" | "netflow", "firewall") | ("", "netflow", "") => Ok((Source::VpcFlow, None)),
            ("kubernetes", "audit", _) | ("aws", "eks" | "eks_audit", _) => {
                Ok((Source::AppLog, Some(audit_events())))
            }
            ("kubernetes", _, _) => Ok((Source::AppLog, None)),
            (
                "nginx" | "apache" | "python" | "django" | "ruby_on_rails" | "spring" | "nodejs" | "java"
                | "jvm" | "velocity" | "sql",
                _,
                _,
            ) => Ok((Source::AppLog, None)),
            ("linux", service, _) if LINUX_SERVICES.contains(&service) => Ok((Source::AppLog, None)),
            (_, "nginx" | "apache", _) => Ok((Source::AppLog, None)),
            (_, _, "application" | "webserver" | "app_log") => Ok((Source::AppLog, None)),
            _ => unsupported(format!(
                "no table holds logsource product `{product}`, service `{service}`, category `{category}`; known are \
                 aws/cloudtrail, aws/vpcflow, firewall, kubernetes, linux services and application or webserver logs"
            )),
        }
    }

    /// The table of the lake.
    pub fn table(self) -> &'static Table {
        match self {
            Source::Cloudtrail => &tables::cloudtrail::TABLE,
            Source::VpcFlow => &tables::vpc_flow::TABLE,
            Source::AppLog => &tables::app_log::TABLE,
        }
    }

    /// Where a field named in a rule is found.
    ///
    /// A field of the record that has a column is that column; a longer path below a JSON column is
    /// a path inside it; anything else is looked up among the fields the parser did not know.
    pub fn field(self, name: &str) -> Target {
        let table = self.table();
        let renamed = match self {
            Source::Cloudtrail => CLOUDTRAIL_CORE,
            Source::VpcFlow => FLOW_CORE,
            Source::AppLog => WEB,
        };
        let own = renamed.iter().find(|(field, _)| *field == name).map_or(name, |(_, column)| column);
        if let Some(column) = table
            .columns()
            .find(|column| column.name == own || (!column.field.is_empty() && column.field == name))
        {
            return Target::column(column.name, column.kind);
        }
        // The longest JSON column whose field is a prefix of the path.
        let json = table
            .columns()
            .filter(|column| column.kind == Kind::Json)
            .filter_map(|column| {
                let field = if name.starts_with(column.name) { column.name } else { column.field };
                let rest = name.strip_prefix(field)?.strip_prefix('.')?;
                (!field.is_empty()).then_some((field.len(), column.name, rest))
            })
            .max();
        if let Some((_, column, path)) = json {
            return Target::Json { column, path: path.to_owned() };
        }
        let column = if self == Source::AppLog { "attributes" } else { "unmapped" };
        Target::Json { column, path: name.to_owned() }
    }

    /// The columns an unbound keyword is looked for in.
    ///
    /// # Errors
    /// Flow records have no free text.
    pub fn keyword_columns(self) -> Result<Vec<Target>, RuleError> {
        let names: &[&str] = match self {
            Source::Cloudtrail => CLOUDTRAIL_KEYWORDS,
            Source::AppLog => &["body"],
            Source::VpcFlow => {
                return unsupported("keywords without a field: flow records have no free text");
            }
        };
        Ok(self
            .table()
            .columns()
            .filter(|column| names.contains(&column.name))
            .map(|column| Target::column(column.name, column.kind))
            .collect())
    }

    /// SQL text of who or what a row is about.
    pub fn entity_sql(self) -> &'static str {
        match self {
            Source::Cloudtrail => {
                "coalesce(user_identity_arn, actor, principal_id, invoked_by, source_ip_address, 'unknown')"
            }
            Source::VpcFlow => "coalesce(pkt_srcaddr, src_ip, interface_id, 'unknown')",
            Source::AppLog => {
                "coalesce(CASE WHEN json_first(attributes, 'objectRef.resource') IS NOT NULL \
                 THEN json_first(attributes, 'user.username') END, namespace || '/' || pod, src_ip, source)"
            }
        }
    }

    /// Columns shown as evidence, most telling first.
    pub fn sample_columns(self) -> &'static [&'static str] {
        match self {
            Source::Cloudtrail => &[
                "event_time",
                "event_uid",
                "event_source",
                "event_name",
                "error_code",
                "user_identity_arn",
                "source_ip_address",
                "user_agent",
                "request_parameters",
            ],
            Source::VpcFlow => &[
                "event_time",
                "event_uid",
                "interface_id",
                "src_ip",
                "src_port",
                "dst_ip",
                "dst_port",
                "protocol",
                "packets",
                "bytes",
                "action",
            ],
            Source::AppLog => {
                &["event_time", "event_uid", "namespace", "pod", "container", "severity_text", "body"]
            }
        }
    }
}

/// Events of the Kubernetes audit log among container logs: the API server writes one JSON object a
/// line, whose fields are in `attributes`. Events taken out of a list have lost their `apiVersion`.
fn audit_events() -> Predicate {
    let field = |path: &str| Target::Json { column: "attributes", path: path.to_owned() };
    let version = Test::Like { pattern: "audit.k8s.io/%".to_owned(), cased: true };
    Predicate::or(vec![
        Predicate::Leaf(field("apiVersion"), version),
        Predicate::Leaf(field("auditID"), Test::Present),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloudtrail_fields_find_their_column_or_path() {
        let source = Source::Cloudtrail;
        assert_eq!(source.field("eventName"), Target::column("event_name", Kind::Text));
        assert_eq!(source.field("userIdentity.type"), Target::column("user_identity_type", Kind::Text));
        assert_eq!(source.field("requestParameters"), Target::column("request_parameters", Kind::Json));
        assert_eq!(source.field("awsRegion"), Target::column("region", Kind::Text));
        let json = |column, path: &str| Target::Json { column, path: path.to_owned() };
        assert_eq!(source.field("requestParameters.a.b"), json("request_parameters", "a.b"));
        assert_eq!(source.field("request_parameters.a"), json("request_parameters", "a"));
        assert_eq!(
            source.field("userIdentity.sessionContext.webIdFederationData.federatedProvider"),
            json("user_identity", "sessionContext.webIdFederationData.federatedProvider")
        );
        assert_eq!(source.field("status"), json("unmapped", "status"));
    }

    #[test]
    fn flow_and_app_fields_find_their_column() {
        assert_eq!(Source::VpcFlow.field("srcaddr"), Target::column("src_ip", Kind::Text));
        assert_eq!(Source::VpcFlow.field("tcp-flags"), Target::column("tcp_flags", Kind::Int));
        assert_eq!(Source::VpcFlow.field("dst_port"), Target::column("dst_port", Kind::Int));
        assert_eq!(Source::AppLog.field("sc-status"), Target::column("http_status", Kind::Int));
        assert_eq!(
            Source::AppLog.field("user.id"),
            Target::Json { column: "attributes", path: "user.id".to_owned() }
        );
    }

    #[test]
    fn a_log_source_of_another_product_is_named_as_unsupported() {
        let windows = LogSource { product: Some("windows".to_owned()), ..LogSource::default() };
        assert!(matches!(Source::of(&windows), Err(RuleError::Unsupported(m)) if m.contains("windows")));
    }
}

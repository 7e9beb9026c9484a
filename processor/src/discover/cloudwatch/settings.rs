//! What a `[[cloudwatch_logs]]` section says.

use crate::formats::vpc_flow::header;
use serde::Deserialize;
use std::time::Duration;
use thiserror::Error;

/// What the messages of a group are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// CloudTrail records, one a message.
    CloudTrail,
    /// Flow log lines with these fields.
    VpcFlow {
        /// The header line: names of fields, separated by blanks.
        header: String,
    },
    /// Anything else: rows of `app_log`.
    App,
}

impl Kind {
    /// The name in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            Kind::CloudTrail => "cloudtrail",
            Kind::VpcFlow { .. } => "vpc_flow",
            Kind::App => "app",
        }
    }
}

/// The checked settings of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Tells sections apart; part of where positions lie, so a renamed section begins anew.
    pub name: String,
    /// Names of groups; `*` stands for anything.
    pub groups: Vec<String>,
    /// What their messages are.
    pub kind: Kind,
    /// Region; the default one without.
    pub region: Option<String>,
    /// Role to assume, for groups of another account.
    pub role_arn: Option<String>,
    /// What the role's trust policy asks for.
    pub external_id: Option<String>,
    /// Address of the service, instead of the Region's.
    pub endpoint: Option<String>,
    /// How far back a group is read that has no position yet.
    pub start: Duration,
    /// How late an event may become visible. Each time this long has passed, twice as much is read again,
    /// so late events cost about two more readings.
    pub overlap: Duration,
    /// Pause after a group was read up to the present.
    pub poll_interval: Duration,
    /// Requests a second for this section. FilterLogEvents is throttled at 5 a second for an account and
    /// Region in most Regions; others want to read too.
    pub requests_per_second: u32,
}

impl Settings {
    /// The section as a file would have it.
    pub fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        let mut put = |key: &str, value: toml::Value| {
            table.insert(key.to_owned(), value);
        };
        put("name", self.name.clone().into());
        put("groups", self.groups.iter().cloned().map(toml::Value::from).collect::<Vec<_>>().into());
        put("kind", self.kind.as_str().into());
        if let Kind::VpcFlow { header } = &self.kind {
            let fields: Vec<String> = header.split(' ').map(|name| format!("${{{name}}}")).collect();
            put("log_format", fields.join(" ").into());
        }
        let texts = [
            ("region", &self.region),
            ("role_arn", &self.role_arn),
            ("external_id", &self.external_id),
            ("endpoint", &self.endpoint),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                put(key, value.clone().into());
            }
        }
        for (key, value) in
            [("start", self.start), ("overlap", self.overlap), ("poll_interval", self.poll_interval)]
        {
            put(key, humantime::format_duration(value).to_string().into());
        }
        put("requests_per_second", i64::from(self.requests_per_second).into());
        table
    }
}

/// What a file may say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSettings {
    name: Option<String>,
    groups: Option<Vec<String>>,
    kind: Option<String>,
    log_format: Option<String>,
    region: Option<String>,
    role_arn: Option<String>,
    external_id: Option<String>,
    endpoint: Option<String>,
    start: Option<String>,
    overlap: Option<String>,
    poll_interval: Option<String>,
    requests_per_second: Option<u32>,
}

/// What is wrong with a section.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`cloudwatch_logs.{key}` of section `{section}`: {reason}")]
pub struct SettingsError {
    section: String,
    key: &'static str,
    reason: String,
}

/// Flow logs without a configured format.
const DEFAULT_FORMAT: &str = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}";

/// The window that is asked for is never shorter, so that a request is not made for a second's events.
const OVERLAP_MIN: Duration = Duration::from_secs(60);

impl TryFrom<RawSettings> for Settings {
    type Error = SettingsError;

    fn try_from(raw: RawSettings) -> Result<Settings, SettingsError> {
        let name = raw.name.clone().unwrap_or_default();
        let bad = |key, reason: &str| SettingsError { section: name.clone(), key, reason: reason.to_owned() };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
            return Err(bad("name", "give it a name of letters, digits, `-` or `_`"));
        }
        let groups = raw.groups.unwrap_or_default();
        if groups.is_empty() || groups.iter().any(String::is_empty) {
            return Err(bad(
                "groups",
                "name at least one log group, such as `/aws/vpc/flow` or `/aws/eks/*`",
            ));
        }
        let kind = match (raw.kind.as_deref(), &raw.log_format) {
            (Some("vpc_flow"), format) => {
                let header = names(format.as_deref().unwrap_or(DEFAULT_FORMAT));
                let layout = header::layout(header.as_bytes());
                layout.ok_or_else(|| {
                    bad("log_format", "not the format of a flow log: `${version} ${account-id} …`")
                })?;
                Kind::VpcFlow { header }
            }
            (_, Some(_)) => return Err(bad("log_format", "only groups of kind `vpc_flow` have one")),
            (Some("cloudtrail"), None) => Kind::CloudTrail,
            (Some("app"), None) => Kind::App,
            _ => return Err(bad("kind", "must be `vpc_flow`, `cloudtrail` or `app`")),
        };
        if raw.external_id.is_some() && raw.role_arn.is_none() {
            return Err(bad("external_id", "belongs to a `role_arn`"));
        }
        let duration = |key, value: Option<String>, default: u64| match value {
            None => Ok(Duration::from_secs(default)),
            Some(value) => humantime::parse_duration(&value).map_err(|error| bad(key, &error.to_string())),
        };
        let overlap = duration("overlap", raw.overlap, 600)?;
        if overlap < OVERLAP_MIN {
            return Err(bad("overlap", "must be at least 1m: events become visible with some delay"));
        }
        let requests_per_second = raw.requests_per_second.unwrap_or(4);
        if requests_per_second == 0 {
            return Err(bad("requests_per_second", "must be at least 1"));
        }
        Ok(Settings {
            start: duration("start", raw.start, 3_600)?,
            poll_interval: duration("poll_interval", raw.poll_interval, 30)?,
            overlap,
            requests_per_second,
            groups,
            kind,
            region: raw.region,
            role_arn: raw.role_arn,
            external_id: raw.external_id,
            endpoint: raw.endpoint,
            name,
        })
    }
}

/// The header line a `log_format` stands for.
fn names(format: &str) -> String {
    let name = |field: &str| {
        let bare = field.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(field);
        bare.to_owned()
    };
    format.split_ascii_whitespace().map(name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        let raw: RawSettings = toml::from_str(text).map_err(|error| error.to_string())?;
        Settings::try_from(raw).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flow_log_has_the_fields_of_its_format() {
        let format = "name = 'f'\ngroups = ['/vpc']\nkind = 'vpc_flow'\nlog_format = '${vpc-id}  ${srcaddr} ${dstaddr}'";
        let settings = parse(format).expect("valid");
        assert_eq!(settings.kind, Kind::VpcFlow { header: "vpc-id srcaddr dstaddr".to_owned() });
        assert_eq!(settings.overlap, Duration::from_secs(600));
    }

    #[test]
    fn mistakes_name_section_and_key() {
        let base = "name = 'f'\ngroups = ['/vpc']\n";
        for (text, part) in [
            ("groups = ['/vpc']\nkind = 'app'".to_owned(), "name"),
            ("name = 'f'\nkind = 'app'".to_owned(), "groups"),
            (format!("{base}kind = 'nginx'"), "kind"),
            (format!("{base}kind = 'vpc_flow'\nlog_format = '1 2 3'"), "log_format"),
            (format!("{base}kind = 'app'\nlog_format = '${{version}}'"), "log_format"),
            (format!("{base}kind = 'app'\noverlap = '1s'"), "overlap"),
            (format!("{base}kind = 'app'\nexternal_id = 'x'"), "external_id"),
            (format!("{base}kind = 'app'\nrequests_per_second = 0"), "requests_per_second"),
            (format!("{base}kind = 'app'\nstreams = ['x']"), "streams"),
        ] {
            let error = parse(&text).expect_err(&text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

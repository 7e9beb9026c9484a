use super::*;

const GOOD: &str = r#"
data_dir = "/var/lib/logq-collector"
node = "${NODE:-n1}"

[sources.pods]
type = "kubernetes_logs"
pods_dir = "/var/log/pods"

[sinks.out]
type = "file"
inputs = ["pods"]
path = "/srv/landing"

[sinks.bucket]
type = "aws_s3"
inputs = ["pods"]
bucket = "acme-logs"
auth.assume_role = "arn:aws:iam::123456789012:role/logs"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("c.toml"), text, &|name| (name == "REGION").then(|| "eu-west-1".to_owned()))
}

#[test]
fn defaults_are_filled_in_and_the_effective_configuration_reads_back() {
    let config = parse(GOOD).unwrap();
    assert_eq!((config.node.as_str(), config.batch.max_bytes.bytes()), ("n1", 512 * 1024));
    let printed = config.to_toml();
    let again = parse(&printed).unwrap();
    assert_eq!(again.to_toml(), printed);
    assert!(printed.contains("max_bytes = \"8MiB\"") && printed.contains("max_age = \"10s\""), "{printed}");
}

#[test]
fn every_mistake_names_file_and_key() {
    let replaced = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replace(from, to)
    };
    let cases = [
        (replaced("data_dir = ", "data_dri = "), "top level", "data_dri"),
        (replaced("pods_dir =", "pod_dir ="), "sources.pods", "pod_dir"),
        (
            replaced("inputs = [\"pods\"]\npath", "inputs = [\"pod\"]\npath"),
            "sinks.out.inputs",
            "`pod` is no source or transform",
        ),
        (replaced("kubernetes_logs", "kubernets_logs"), "sources.pods.type", "no source type"),
        (replaced("type = \"file\"", "type = \"flie\""), "sinks.out.type", "no sink type"),
        (
            replaced("bucket = \"acme-logs\"", "bucket = \"s3://acme\""),
            "sinks.bucket.bucket",
            "name of a bucket",
        ),
        (replaced("bucket = \"acme-logs\"", "region = \"x\""), "sinks.bucket", "missing field `bucket`"),
        (replaced("\"/srv/landing\"", "\"/var/lib/logq-collector/out\""), "sinks.out.path", "overlap"),
        (replaced("${NODE:-n1}", "${NODE}"), "node", "NODE is not set"),
        (GOOD.to_owned() + "canned = \"private\"\n", "sinks.bucket", "canned"),
        (GOOD.to_owned() + "acl = \"everybody\"\n", "sinks.bucket.acl", "must be one of"),
        (GOOD.to_owned() + "ssekms_key_id = \"k\"\n", "sinks.bucket.ssekms_key_id", "aws:kms"),
        (
            GOOD.to_owned() + "[sinks.b2]\ntype = \"file\"\ninputs = [\"pods\"]\npath = \"/srv/landing\"\n",
            "sinks.out.path",
            "sinks.b2",
        ),
        (GOOD.to_owned() + "[spool]\nmax_bytes = \"16MiB\"\n", "spool.max_bytes", "four segments"),
        (GOOD.to_owned() + "[spool]\nmax_bytes = \"lots\"\n", "spool.max_bytes", "not a size"),
        (GOOD.to_owned() + "[batch]\nmax_bytes = 1\n", "batch.max_bytes", "between"),
        (GOOD.to_owned() + "[admin]\naddress = \"9598\"\n", "admin.address", "not an address"),
    ];
    for (text, key, part) in cases {
        let error = parse(&text).expect_err(&text).to_string();
        assert!(
            error.starts_with(&format!("c.toml: {key}: ")) && error.contains(part),
            "{key} / {part}: {error}"
        );
    }
    let error = parse("data_dir = ").unwrap_err().to_string();
    assert!(error.starts_with("c.toml: not valid TOML"), "{error}");
}

#[test]
fn variables_are_replaced_in_values_only() {
    let text = GOOD.replace("\"acme-logs\"", "\"a-${REGION}-$$x-${NONE:-d}\"");
    let config = parse(&text).unwrap();
    assert_eq!(config.sinks["bucket"].settings.table()["bucket"].as_str(), Some("a-eu-west-1-$x-d"));
}

#[test]
fn seconds_may_be_numbers() {
    let config = parse(&(GOOD.to_owned() + "[batch]\ntimeout_secs = 0.5\n[segment]\nmax_age = 2\n")).unwrap();
    assert_eq!(config.batch.timeout_secs.duration(), Duration::from_millis(500));
    assert_eq!(config.segment.max_age.duration(), Duration::from_secs(2));
}

#[test]
fn every_effective_key_is_on_the_reference_page() {
    fn keys(value: &toml::Value, prefix: &str, out: &mut Vec<String>) {
        let Some(table) = value.as_table() else { return out.push(prefix.to_owned()) };
        for (key, value) in table {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            keys(value, &path, out);
        }
    }
    let page = options::reference();
    let effective: toml::Table = parse(GOOD).unwrap().to_toml().parse().unwrap();
    for (section, value) in &effective {
        let mut found = Vec::new();
        match (section.as_str(), value.as_table()) {
            ("sources" | "sinks", Some(components)) => {
                components.values().for_each(|component| keys(component, "", &mut found));
            }
            (_, Some(_)) => keys(value, "", &mut found),
            _ => found.push(section.clone()),
        }
        for key in found.iter().filter(|key| *key != "type") {
            assert!(page.contains(&format!("| `{key}` |")), "{section}: {key}");
        }
    }
}

#[cfg(feature = "otlp")]
#[test]
fn no_two_sources_listen_on_one_address() {
    let pair = |keys: &str| {
        let source = "[sources.one]\ntype = \"opentelemetry\"\n[sources.two]\ntype = \"opentelemetry\"\n";
        let text = format!(
            "data_dir = \"/d\"\nnode = \"n\"\n{source}{keys}\n[sinks.out]\ntype = \"blackhole\"\ninputs = [\"one\", \"two\"]\n"
        );
        parse(&text).map(drop).map_err(|error| error.to_string())
    };
    let error = pair("grpc.address = \"127.0.0.1:1\"").unwrap_err();
    assert!(error.starts_with("c.toml: sources.two.http.address: 127.0.0.1:4318 is also used by"), "{error}");
    let error = pair("grpc.address = \"127.0.0.1:4318\"\nhttp.address = \"127.0.0.1:2\"").unwrap_err();
    assert!(error.starts_with("c.toml: sources.two.grpc.address: 127.0.0.1:4318 is also used by"), "{error}");
    assert_eq!(pair("grpc.address = \"127.0.0.1:1\"\nhttp.address = \"127.0.0.1:2\""), Ok(()));
}

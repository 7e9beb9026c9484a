//! Configurations of Fluent Bit, translated by the program.

use std::process::{Command, Output};

/// Kinds a build may leave out.
const PENDING: [&str; 1] = ["fluent"];

const CLASSIC: &str = r#"
# as on EKS
@SET prefix=/aws/eks
[SERVICE]
    Grace 30
[INPUT]
    Name tail
    Tag  application.*
    Path /var/log/containers/*.log
    Exclude_Path /var/log/containers/fluent-bit*, /var/log/containers/kube-proxy*
    multiline.parser docker, cri, java
    Mem_Buf_Limit 50MB
[INPUT]
    Name tail
    Tag  host.messages
    Path /var/log/messages
[FILTER]
    Name  kubernetes
    Match application.*
    Merge_Log On
[FILTER]
    Name grep
    Match application.*
    Exclude log healthz$
[FILTER]
    Name record_modifier
    Match host.*
    Record zone a "b"
[FILTER]
    Name lua
    Match *
[OUTPUT]
    Name cloudwatch_logs
    Match application.*
    region ${AWS_REGION}
    log_group_name ${prefix}/fallback
    log_group_template /k8s/$kubernetes['namespace_name']
    log_key log
    auto_create_group true
    storage.total_limit_size 64M
[OUTPUT]
    Name s3
    Match host.*
    bucket acme-logs
    s3_key_format /fluent/host/%Y/$UUID
[OUTPUT]
    Name es
    Match *
"#;

const YAML: &str = r"
service:
  flush: 1
pipeline:
  inputs:
    - name: tail
      tag: kube.*
      path: /var/log/containers/*.log
      multiline.parser: docker, cri
    - name: cpu
  filters:
    - name: kubernetes
      match: kube.*
  outputs:
    - name: es
      match: kube.*
";

fn run(arguments: &[&std::path::Path]) -> Output {
    let program = env!("CARGO_BIN_EXE_logq-collector");
    Command::new(program).args(["import", "fluent-bit"]).args(arguments).output().unwrap()
}

fn import(name: &str, text: &str) -> (Output, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    let output = run(&[&path]);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let pending = PENDING.iter().any(|kind| said.contains(&format!("`{kind}` is no ")));
    assert!(pending || output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    (output, said)
}

/// Translates a configuration and runs tests on the result.
fn behaves(text: &str, tests: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours, cases) =
        (dir.path().join("fluent-bit.yaml"), dir.path().join("ours.toml"), dir.path().join("tests.toml"));
    std::fs::write(&theirs, text).unwrap();
    std::fs::write(&cases, tests).unwrap();
    let output = run(&[&theirs, "--output".as_ref(), &ours]);
    let config = std::fs::read_to_string(&ours).unwrap_or_default();
    assert!(output.status.success(), "{}\n{config}", String::from_utf8_lossy(&output.stderr));
    let program = env!("CARGO_BIN_EXE_logq-collector");
    let test = Command::new(program)
        .arg("test")
        .arg("--config")
        .arg(&ours)
        .arg("--tests")
        .arg(&cases)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&test.stdout).into_owned() + &String::from_utf8_lossy(&test.stderr);
    assert!(test.status.success(), "{said}\n{config}");
}

#[test]
fn a_classic_configuration_becomes_a_valid_one() {
    let (output, said) = import("fluent-bit.conf", CLASSIC);
    let table: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    let (sources, sinks) = (&table["sources"], &table["sinks"]);
    assert_eq!(sources["pods"]["type"].as_str(), Some("kubernetes_logs"));
    assert_eq!(sources["pods"]["multiline"]["mode"][0].as_str(), Some("java"));
    assert_eq!(sources["tail_2"]["include"][0].as_str(), Some("/var/log/messages"));
    let logs = &sinks["aws_cloudwatch_logs_1"];
    assert_eq!(logs["group_name"].as_str(), Some("/k8s/{{ namespace }}"));
    assert_eq!(logs["buffer"]["when_full"].as_str(), Some("drop_oldest"));
    assert_eq!(sinks["aws_s3_2"]["key_prefix"].as_str(), Some("fluent/host/"));
    // The sink takes the end of the chain: exclusion, parse, grep.
    let last = logs["inputs"][0].as_str().unwrap();
    assert_eq!(table["transforms"][last]["condition"]["matches"][0].as_str(), Some("healthz$$"));
    for part in [".conf:12: mem_buf_limit", ".conf:29: filter lua", ".conf:46: output es", "is valid"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_yaml_configuration_without_translatable_output_holds_records_back() {
    let (output, said) = import("fluent-bit.yaml", YAML);
    let table: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    assert_eq!(table["sinks"]["landing"]["bucket"].as_str(), Some("${LANDING_BUCKET}"));
    for part in [".yaml:10: input cpu", ".yaml:15: output es", "sinks: no output has a counterpart"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// Every documented option of a plugin with a value that is not its default.
const OPTIONS: [(&str, &str, &str); 18] = [
    (
        "service",
        "",
        "Flush 5|Grace 7|Daemon on|Log_File /l|Log_Level debug|Plugins_File p|Streams_File s|HTTP_Server on|HTTP_Listen 127.0.0.1|HTTP_Port 2021|storage.path /s|storage.sync full|storage.checksum on|storage.max_chunks_up 9|storage.backlog.mem_limit 9M|storage.metrics on|storage.delete_irrecoverable_chunks on|scheduler.cap 9|scheduler.base 2|Coro_Stack_Size 9|Hot_Reload on|json.convert_nan_to_null on|sp.convert_from_str_to_num off|dns.mode TCP|dns.resolver LEGACY|dns.prefer_ipv4 on|Health_Check on|HC_Errors_Count 5",
    ),
    (
        "input",
        "tail",
        "Buffer_Chunk_Size 64k|Buffer_Max_Size 64k|Path /var/log/a.log|Path_Key f|Exclude_Path *.gz|Offset_Key o|Read_from_Head on|Refresh_Interval 10|Rotate_Wait 9|Ignore_Older 1h|Skip_Long_Lines on|Skip_Empty_Lines on|DB /db|DB.sync full|DB.locking on|DB.journal_mode OFF|DB.compare_filename on|Mem_Buf_Limit 5M|Exit_On_Eof on|Parser json|Key m|Inotify_Watcher off|Tag t.*|Tag_Regex x|Static_Batch_Size 5M|File_Cache_Advise off|multiline.parser java|Multiline on|Multiline_Flush 9|Parser_Firstline x|Parser_1 x|Docker_Mode on|Docker_Mode_Flush 9|Docker_Mode_Parser json|Unicode.Encoding auto|Generic.Encoding GBK|Threaded on|Alias a|Log_Level debug|storage.type filesystem|storage.pause_on_chunks_overlimit on|Routable off|Log_Suppress_Interval 9",
    ),
    (
        "input",
        "tail",
        "Path /var/log/containers/*.log|Tag kube.*|Buffer_Max_Size 64k|Exclude_Path /var/log/containers/a-*|Read_from_Head on|Refresh_Interval 10|Rotate_Wait 9|Ignore_Older 1h|multiline.parser cri|Parser docker|Docker_Mode on|Path_Key f|Skip_Long_Lines on|DB /db",
    ),
    (
        "input",
        "systemd",
        "Tag j|Path /j|Max_Fields 9|Max_Entries 9|Systemd_Filter _SYSTEMD_UNIT=a.service|Systemd_Filter _TRANSPORT=kernel|Systemd_Filter_Type And|Read_From_Tail on|Strip_Underscores on|Lowercase on|DB /db|DB.sync full|Threaded on",
    ),
    (
        "input",
        "opentelemetry",
        "Tag o|Listen 127.0.0.1|Port 4319|tag_key k|raw_traces on|buffer_max_size 9M|buffer_chunk_size 9k|successful_response_code 200|tag_from_uri off|log_level debug|http2 off|profiles_support on|logs_metadata_key x|logs_body_key x",
    ),
    (
        "filter",
        "kubernetes",
        "Match *|Buffer_Size 64k|Kube_URL https://x|Kube_CA_File /c|Kube_CA_Path /p|Kube_Token_File /t|Kube_Tag_Prefix k.|Merge_Log on|Merge_Log_Key k|Merge_Log_Trim off|Merge_Parser json|Keep_Log off|tls.debug 1|tls.verify off|tls.verify_hostname on|tls.vhost x|Use_Journal on|Cache_Use_Docker_Id on|Regex_Parser x|K8S-Logging.Parser on|K8S-Logging.Exclude on|Labels off|Annotations off|Kube_meta_preload_cache_dir /m|Dummy_Meta on|DNS_Retries 9|DNS_Wait_Time 9|Use_Kubelet on|Use_Tag_For_Meta on|Kubelet_Port 9|Kubelet_Host h|Kube_Meta_Cache_TTL 9|Kube_Token_TTL 9|Kube_Token_Command c|Kube_Meta_Namespace_Cache_TTL 9|Namespace_Labels on|Namespace_Annotations on|Namespace_Metadata_Only on|Owner_References on",
    ),
    ("filter", "parser", "Match *|Key_Name log|Parser json|Preserve_Key on|Reserve_Data on|Unescape_Key on"),
    ("filter", "grep", "Match *|Exclude log x|Regex level y|Exclude log z|Logical_Op legacy"),
    (
        "filter",
        "modify",
        "Match *|Condition Key_exists a|Set b c|Add d e|Remove f|Remove_wildcard g|Remove_regex h|Rename i j|Hard_rename k l|Copy m n|Hard_copy o p|Rename log q",
    ),
    (
        "filter",
        "record_modifier",
        "Match *|Record a b|Remove_key c|Allowlist_key d|Whitelist_key e|Uuid_key f",
    ),
    (
        "filter",
        "nest",
        "Match *|Operation nest|Wildcard a*|Wildcard b|Nest_under c|Nested_under d|Add_prefix e|Remove_prefix f",
    ),
    ("filter", "throttle", "Match *|Rate 5|Window 9|Interval 9s|Print_Status on"),
    (
        "filter",
        "rewrite_tag",
        "Match *|Rule $level ^error$ errors false|Rule $log x y true|Emitter_Name e|Emitter_Storage.type filesystem|Emitter_Mem_Buf_Limit 9M",
    ),
    (
        "filter",
        "multiline",
        "Match *|multiline.parser go|multiline.key_content m|mode parser|buffer off|flush_ms 9|emitter_name e|emitter_storage.type memory|emitter_mem_buf_limit 9M",
    ),
    (
        "output",
        "cloudwatch_logs",
        "Match *|region eu-west-1|log_group_name g|log_group_template g2|log_stream_name s|log_stream_prefix p|log_stream_template s2|log_key log|log_format json/emf|role_arn arn:aws:iam::123456789012:role/r|auto_create_group on|log_group_class INFREQUENT_ACCESS|log_retention_days 30|endpoint logs.local|metric_namespace m|metric_dimensions d|sts_endpoint s|profile p|auto_retry_requests off|external_id e|add_entity on|extra_user_agent u|workers 3|Retry_Limit 5|storage.total_limit_size 64M|Alias a|net.keepalive off",
    ),
    (
        "output",
        "s3",
        "Match *|region eu-west-1|bucket b|json_date_key d|json_date_format iso8601|total_file_size 50M|upload_chunk_size 6M|upload_timeout 5m|store_dir /s|store_dir_limit_size 9M|s3_key_format /a/$TAG|s3_key_format_tag_delimiters -|static_file_path on|use_put_object on|role_arn arn:aws:iam::123456789012:role/r|endpoint s3.local|sts_endpoint s|profile p|canned_acl private|compression gzip|content_type t|send_content_md5 on|auto_retry_requests off|log_key log|preserve_data_ordering off|storage_class STANDARD_IA|retry_limit 2|external_id e|workers 3",
    ),
    (
        "output",
        "http",
        "Match *|host h|http_User u|http_Passwd p|AWS_Auth on|AWS_Service s|AWS_Region r|AWS_STS_Endpoint e|AWS_Role_ARN a|AWS_External_ID i|port 81|Proxy http://p|http_method PUT|uri /x|compress gzip|format json_lines|allow_duplicated_headers off|log_response_payload off|header_tag t|header X-A b|json_date_key d|json_date_format iso8601|gelf_timestamp_key g|gelf_host_key g|gelf_short_message_key g|body_key $b|headers_key $h|workers 3|tls on|tls.verify off",
    ),
    (
        "output",
        "opentelemetry",
        "Match *|host h|port 4318|http_user u|http_passwd p|proxy http://p|http2 off|grpc off|metrics_uri /m|logs_uri /l|traces_uri /t|profiles_uri /p|header X-A b|log_response_payload off|logs_body_key b|logs_trace_id_message_key t|logs_span_id_message_key s|add_label a b|compress gzip|batch_size 9|tls on|tls.ca_file /ca|tls.verify off|tls.vhost v|workers 3",
    ),
];

#[test]
fn every_documented_option_is_translated_or_noted() {
    let base = |kind: &str, plugin: &str, options: &[&str]| {
        let mut text = String::new();
        if kind != "input" {
            text += "[INPUT]\nName tail\nPath /var/log/containers/*.log\nTag kube.*\n";
        }
        text += &format!("[{}]\n", kind.to_uppercase());
        if !plugin.is_empty() {
            text += &format!("Name {plugin}\n");
        }
        for option in options {
            text += &format!("{option}\n");
        }
        if kind != "output" {
            text += "[OUTPUT]\nName null\nMatch *\n";
        }
        text
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fluent-bit.conf");
    let translated = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let out = logq_collector::import::translate(&logq_collector::import::read(&path).unwrap(), &[]);
        let toml = out.to_toml();
        (toml.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"), out.notes)
    };
    for (kind, plugin, options) in OPTIONS {
        let options: Vec<&str> = options.split('|').collect();
        let (toml, notes) = translated(&base(kind, plugin, &options));
        for (at, option) in options.iter().enumerate() {
            let key = option.split(' ').next().unwrap().to_lowercase();
            if ["match", "tag"].contains(&key.as_str()) {
                continue;
            }
            let named = notes.iter().any(|note| note.name.to_lowercase().starts_with(&key));
            let mut without = options.clone();
            // A comment keeps the lines of the others.
            without[at] = "#";
            assert!(
                named || translated(&base(kind, plugin, &without)) != (toml.clone(), notes.clone()),
                "{kind} {plugin}: {option} is passed over\n{toml}\n{notes:#?}"
            );
        }
    }
}

#[test]
fn a_parsers_file_that_does_not_exist_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fluent-bit.conf");
    std::fs::write(&path, "[SERVICE]\nParsers_File gone.conf\n").unwrap();
    let output = run(&[&path]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(".conf:2") && said.contains("gone.conf"), "{said}");
}

#[test]
fn systemd_opentelemetry_and_http_use_our_options() {
    let (output, _) = import(
        "fluent-bit.conf",
        "[INPUT]\nName systemd\nTag host.*\nSystemd_Filter _SYSTEMD_UNIT=kubelet.service\nSystemd_Filter _TRANSPORT=kernel\nRead_From_Tail on\n\
         [INPUT]\nName opentelemetry\nPort 4319\nTag otel\n\
         [INPUT]\nName tail\nPath /var/log/a.log\nTag file\n\
         [OUTPUT]\nName http\nMatch host.*\nHost logs.example\nPort 8443\nURI /in\ntls on\nFormat json_lines\nHeader X-Team a b\nhttp_User u\nhttp_Passwd p\n\
         [OUTPUT]\nName opentelemetry\nMatch *\nHost otel.example\nPort 4318\n",
    );
    let table: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    let journal = &table["sources"]["systemd_1"];
    assert_eq!(journal["include_units"][0].as_str(), Some("kubelet.service"));
    assert_eq!(journal["include_matches"]["_TRANSPORT"][0].as_str(), Some("kernel"));
    assert_eq!(journal["since_now"].as_bool(), Some(true));
    assert_eq!(table["sources"]["opentelemetry_2"]["http"]["address"].as_str(), Some("0.0.0.0:4319"));
    assert_eq!(table["sources"]["tail_3"]["read_from"].as_str(), Some("end"));
    let http = &table["sinks"]["http_1"];
    assert_eq!(http["uri"].as_str(), Some("https://logs.example:8443/in"));
    assert_eq!(http["headers"]["X-Team"].as_str(), Some("a b"));
    assert_eq!(http["framing"]["method"].as_str(), Some("newline_delimited"));
    assert_eq!(http["auth"]["strategy"].as_str(), Some("basic"));
    assert_eq!(table["sinks"]["otlp_2"]["endpoint"].as_str(), Some("http://otel.example:4318/v1/logs"));
}

#[test]
fn a_forward_input_without_tag_reaches_every_match() {
    let (output, _) = import("f.conf", "[INPUT]\nName forward\n[OUTPUT]\nName stdout\nMatch *\n");
    let table: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    assert_eq!(table["sinks"]["console_1"]["inputs"][0].as_str(), Some("forward_1"));
}

#[test]
fn a_filter_that_is_left_out_says_that_more_records_get_through() {
    let text = "[INPUT]\nName tail\nPath /var/log/a.log\nTag a\n[FILTER]\nName lua\nMatch *\n[FILTER]\nName grep\nMatch *\nExclude log (?=x)\n[OUTPUT]\nName stdout\nMatch *\n";
    let (_, said) = import("f.conf", text);
    assert_eq!(said.matches("get through now").count(), 2, "{said}");
}

#[test]
fn rules_of_a_multiline_parser_become_patterns() {
    let text = "[MULTILINE_PARSER]\nname app\ntype regex\nflush_timeout 2000\nrule \"start_state\" \"/^\\d{4}/\" \"cont\"\nrule \"cont\" \"/^\\s/\" \"cont\"\n[INPUT]\nName tail\nPath /var/log/a.log\nTag a\nmultiline.parser app\n[OUTPUT]\nName stdout\nMatch *\n";
    let (output, _) = import("f.conf", text);
    let table: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    let multiline = &table["sources"]["tail_1"]["multiline"];
    assert_eq!(multiline["start_pattern"].as_str(), Some("^\\d{4}"));
    assert_eq!(multiline["condition_pattern"].as_str(), Some("^\\s"));
    assert_eq!(multiline["timeout"].as_str(), Some("2000ms"));
}

#[test]
fn filters_do_to_records_what_they_did() {
    let text = r"
pipeline:
  inputs:
    - name: tail
      path: /var/log/containers/*.log
      tag: kube.*
      processors:
        logs:
          - name: content_modifier
            action: upsert
            key: site
            value: a
  filters:
    - name: grep
      match: kube.*
      exclude: $kubernetes['namespace_name'] ^noise$
    - name: grep
      match: '*_shop_*'
      logical_op: or
      regex:
        - level ^(error|warn)$
        - log keep me
    - name: modify
      match: kube.*
      condition: Key_value_equals level error
      set: team a
      remove: secret
      rename: msg text
    - name: nest
      match: kube.*
      operation: lift
      nested_under: inner
      add_prefix: in_
    - name: rewrite_tag
      match: kube.*
      rule: $level ^error$ errors false
  outputs:
    - name: 'null'
      match: kube.*
    - name: stdout
      match: errors
    - name: stdout
      match: errors
    - name: 'null'
      match_regex: _db_
";
    let tests = r#"
[[tests]]
name = "a namespace is excluded by a field"
inputs = [{ insert_at = "pods", value = "hello", namespace = "noise", pod = "a", container = "c" }]
no_outputs_from = ["blackhole_1", "console_2", "blackhole_3"]

[[tests]]
name = "what is in part of the containers is not told of others"
inputs = [
  { insert_at = "pods", value = '{"level":"info"}', namespace = "shop", pod = "a", container = "c" },
  { insert_at = "pods", value = '{"level":"info","n":1}', namespace = "db", pod = "a", container = "c" },
  { insert_at = "pods", value = 'keep me', namespace = "shop", pod = "a", container = "c" },
]
no_outputs_from = ["console_2"]
[[tests.outputs]]
extract_from = "blackhole_1"
count = 2
[[tests.outputs]]
extract_from = "blackhole_3"
count = 1
conditions = [{ field = "message", contains = '"n":1' }]

[[tests]]
name = "fields are set, removed, renamed and lifted, and the record goes on under its new tag"
inputs = [{ insert_at = "pods", value = '{"level":"error","secret":"x","msg":"m","inner":{"k":1}}', namespace = "shop", pod = "a", container = "c" }]
no_outputs_from = ["blackhole_1"]
[[tests.outputs]]
extract_from = "console_2"
count = 1
conditions = [
  { field = "attributes.team", equals = "a" },
  { field = "attributes.site", equals = "a" },
  { field = "message", equals = '{"in_k":1,"level":"error","text":"m"}' },
]
"#;
    behaves(text, tests);
}

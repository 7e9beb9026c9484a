use super::super::geography::database::{Value, database};
use super::super::inventory::Sources;
use super::*;
use crate::functions::tests::{column, column_with};
use std::path::PathBuf;

const ZONES: &str = r#"
version = 1
[sets]
corp = ["203.0.113.0/24"]
[env.prod]
accounts = ["111111111111"]
cidr = ["10.10.0.0/16"]
[env.stage]
accounts = ["222222222222"]
cidr = ["10.20.0.0/16"]
[zone.db]
cidr = ["{env}.32.0/20"]
[zone.vpn]
cidr = ["192.168.7.0/24", "fd00:7::/64"]
"#;

fn file(directory: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn inventory() -> Inventory {
    let directory = tempfile::tempdir().unwrap();
    let text = |text| Value::Text(text);
    let city = database(
        "GeoLite2-City",
        &[
            (
                "81.2.0.0/16",
                Value::Map(vec![
                    ("city", Value::Map(vec![("names", Value::Map(vec![("en", text("London"))]))])),
                    ("continent", Value::Map(vec![("code", text("EU"))])),
                    ("country", Value::Map(vec![("iso_code", text("GB"))])),
                    (
                        "subdivisions",
                        Value::List(vec![Value::Map(vec![(
                            "names",
                            Value::Map(vec![("en", text("England"))]),
                        )])]),
                    ),
                ]),
            ),
            (
                "5.0.0.0/8",
                Value::Map(vec![("registered_country", Value::Map(vec![("iso_code", text("DE"))]))]),
            ),
        ],
    );
    let asn = database(
        "GeoLite2-ASN",
        &[(
            "81.2.0.0/16",
            Value::Map(vec![
                ("autonomous_system_number", Value::Number(20712)),
                ("autonomous_system_organization", text("Andrews & Arnold Ltd")),
            ]),
        )],
    );
    let plain = database(
        "ipinfo",
        &[(
            "9.0.0.0/8",
            Value::Map(vec![("asn", text("AS64500")), ("country", text("US")), ("as_name", text("Example"))]),
        )],
    );
    let sources = Sources {
        lists: [(
            "tor".to_owned(),
            file(&directory, "tor.txt", b"198.51.100.7\n192.0.2.0/24\n2001:db8:9::/48\n"),
        )]
        .into(),
        zones: Some(file(&directory, "intent.toml", ZONES.as_bytes())),
        geography: vec![
            file(&directory, "city.mmdb", &city),
            file(&directory, "asn.mmdb", &asn),
            file(&directory, "plain.mmdb", &plain),
        ],
    };
    Inventory::load(&sources).unwrap()
}

async fn each(call: &str, values: &str) -> Vec<String> {
    column_with(&format!("select {call} from (values {values}) as t(ip)"), inventory()).await.unwrap()
}

#[tokio::test]
async fn lists_and_sets_hold_their_addresses() {
    let values = "('198.51.100.7'), ('198.51.100.8'), ('192.0.2.200'), ('2001:db8:9::1'), ('::ffff:192.0.2.1'), ('x'), (null)";
    let expected = ["true", "false", "true", "true", "true", "NULL", "NULL"];
    assert_eq!(each("in_list(ip, 'tor')", values).await, expected);
    assert_eq!(each("ip_in(ip, 'tor')", values).await, expected);
    assert_eq!(each("ip_in(ip, 'corp')", "('203.0.113.9'), ('203.0.114.9')").await, ["true", "false"]);
    assert_eq!(
        each("ip_in(ip, 'db')", "('10.10.32.1'), ('10.20.47.255'), ('10.10.48.0')").await,
        ["true", "true", "false"]
    );
    assert_eq!(each("ip_in(ip, 'prod/db')", "('10.10.32.1'), ('10.20.32.1')").await, ["true", "false"]);
    assert_eq!(
        each("ip_in(ip, 'aws_local')", "('169.254.169.254'), ('169.254.1.1')").await,
        ["true", "false"]
    );
    assert_eq!(each("in_list('192.0.2.9', 'tor')", "(1)").await, ["true"]);
}

#[tokio::test]
async fn zones_are_found_by_prefix_and_account() {
    let values = "('192.168.7.1'), ('fd00:7::1'), ('8.8.8.8'), ('192.168.8.1'), ('x'), (null)";
    assert_eq!(each("zone(ip)", values).await, ["vpn", "vpn", "internet", "NULL", "NULL", "NULL"]);
    let sql = "select zone(ip, account) from (values ('10.10.32.1', '111111111111'), ('10.20.32.1', '222222222222'), ('9.9.9.9', null)) as t(ip, account)";
    assert_eq!(column_with(sql, inventory()).await.unwrap(), ["prod/db", "stage/db", "internet"]);
}

#[tokio::test]
async fn places_and_networks_come_from_any_database_given() {
    let values = "('81.2.69.142'), ('5.1.1.1'), ('9.9.9.9'), ('10.0.0.1'), ('2001:db8::1'), ('x'), (null)";
    assert_eq!(each("geo(ip)", values).await, ["GB", "DE", "US", "NULL", "NULL", "NULL", "NULL"]);
    assert_eq!(each("geo(ip, 'city')", "('81.2.69.142'), ('5.1.1.1')").await, ["London", "NULL"]);
    assert_eq!(each("geo(ip, 'subdivision')", "('81.2.69.142')").await, ["England"]);
    assert_eq!(each("geo(ip, 'continent')", "('81.2.69.142')").await, ["EU"]);
    assert_eq!(each("asn(ip)", values).await, ["20712", "NULL", "64500", "NULL", "NULL", "NULL", "NULL"]);
    assert_eq!(
        each("as_name(ip)", "('81.2.69.142'), ('9.9.9.9')").await,
        ["Andrews & Arnold Ltd", "Example"]
    );
}

#[tokio::test]
async fn what_was_not_given_is_asked_for_while_planning() {
    for (sql, option) in [
        ("select in_list('10.0.0.1', 'tor')", "--ip-list tor=FILE"),
        ("select ip_in('10.0.0.1', 'db')", "--zones FILE"),
        ("select zone('10.0.0.1')", "--zones FILE"),
        ("select geo('10.0.0.1')", "--geoip FILE"),
        ("select asn('10.0.0.1')", "--geoip FILE"),
        ("select as_name('10.0.0.1')", "--geoip FILE"),
    ] {
        let error = column(sql).await.unwrap_err().to_string();
        assert!(error.contains(option), "{sql}: {error}");
    }
    for (sql, expected) in [
        ("select in_list('10.0.0.1', 'tro')", "there are tor"),
        ("select in_list(ip, name) from (values ('10.0.0.1', 'tor')) as t(ip, name)", "constant name"),
        ("select geo('10.0.0.1', 'planet')", "'country'"),
    ] {
        let error = column_with(sql, inventory()).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{sql}: {error}");
    }
}

#[test]
fn files_that_are_something_else_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "city.mmdb", b"this is no database");
    let error = Inventory::load(&Sources { geography: vec![path], ..Sources::default() }).unwrap_err();
    assert!(error.to_string().contains("city.mmdb"), "{error}");
    let path = file(&directory, "list.txt", b"10.0.0.1\nnot an address\n");
    let lists = [("mine".to_owned(), path)].into();
    let inventory = Inventory::load(&Sources { lists, ..Sources::default() }).unwrap();
    assert!(inventory.notes()[0].contains("line 2"), "{:?}", inventory.notes());
}

use super::*;

fn at(name: &str) -> impl Fn(Problem) -> bool + use<'_> {
    move |problem| problem.key.ends_with(name)
}

#[test]
fn an_address_must_be_one_and_hold_no_password() {
    assert_eq!(check_uri("uri", "https://host/path?x=1"), Ok(true));
    assert_eq!(check_uri("uri", "http://127.0.0.1:9"), Ok(false));
    for wrong in ["host", "ftp://host", "https://user:secret@host/", "https://host/#x", "http://"] {
        let problem = check_uri("uri", wrong).unwrap_err();
        assert!(!problem.message.contains("secret"), "{problem:?}");
    }
}

#[test]
fn headers_that_would_not_arrive_are_refused() {
    let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let none = BTreeMap::new();
    assert_eq!(check_headers("s", &map("x-scope", "a"), &none), Ok(()));
    for (name, value) in [("x y", "a"), ("x", "a\nb"), ("Authorization", "Bearer x"), ("content-type", "x")] {
        assert!(check_headers("s", &map(name, value), &none).is_err(), "{name}");
    }
}

#[test]
fn credentials_are_whole_and_never_in_the_text() {
    let check = |text: &str| toml::from_str::<Credentials>(text).unwrap().check("s");
    assert_eq!(check(""), Ok(()));
    assert_eq!(check("strategy = \"bearer\"\ntoken_file = \"/t\""), Ok(()));
    assert_eq!(check("strategy = \"basic\"\nuser = \"u\"\npassword_env = \"P\""), Ok(()));
    for (wrong, key) in [
        ("token_file = \"/t\"", "strategy"),
        ("strategy = \"bearer\"", "token_file"),
        ("strategy = \"bearer\"\ntoken_file = \"/t\"\ntoken_env = \"T\"", "token_file"),
        ("strategy = \"bearer\"\ntoken_env = \"eyJ.abc-def\"", "token_env"),
        ("strategy = \"basic\"\nuser = \"a:b\"\npassword_env = \"P\"", "user"),
        ("strategy = \"basic\"\ntoken_file = \"/t\"", "strategy"),
    ] {
        let problem = check(wrong).unwrap_err();
        assert!(at(key)(problem.clone()), "{wrong}: {problem:?}");
    }
    assert!(
        toml::from_str::<Credentials>("password = \"x\"").is_err(),
        "there is no key for the secret itself"
    );
}

#[test]
fn tls_settings_belong_together() {
    let check = |text: &str, https| toml::from_str::<Tls>(text).unwrap().check("s", https);
    assert_eq!(check("ca_file = \"/ca\"\ncrt_file = \"/c\"\nkey_file = \"/k\"", true), Ok(()));
    assert!(check("crt_file = \"/c\"", true).is_err_and(at("key_file")));
    assert!(check("ca_file = \"/ca\"", false).is_err_and(at("ca_file")));
    assert!(check("verify_certificate = false", false).is_err_and(at("verify_certificate")));
}

#[tokio::test]
async fn a_rotated_token_is_used_at_once_and_a_missing_one_names_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let credentials =
        Credentials { strategy: Strategy::Bearer, token_file: Some(path.clone()), ..Credentials::default() };
    let none = BTreeMap::new();
    let endpoint = Endpoint::new(&Tls::default(), &credentials, &none, &BTreeMap::new(), false);
    let error = endpoint.headers().await.unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    for token in ["one", "two"] {
        std::fs::write(&path, format!("{token}\n")).unwrap();
        let headers = endpoint.headers().await.unwrap();
        assert_eq!(headers["authorization"], format!("Bearer {token}"));
        assert!(!format!("{headers:?}").contains(token), "secrets are not printed");
    }
}

#[test]
fn what_is_packed_unpacks() {
    use std::io::Read as _;
    let body = b"abc ".repeat(1000);
    let pack = |text: &str| {
        let compression: Compression = toml::from_str(text).unwrap();
        compression.check("s").unwrap();
        compression.pack(body.clone()).unwrap()
    };
    assert_eq!(zstd::decode_all(&pack("algorithm = \"zstd\"\nlevel = 9")[..]).unwrap(), body);
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&pack("algorithm = \"gzip\"")[..]).read_to_end(&mut text).unwrap();
    assert_eq!(text, body);
    let wrong: Compression = toml::from_str("algorithm = \"gzip\"\nlevel = 10").unwrap();
    assert!(wrong.check("s").is_err_and(at("compression.level")));
}

//! The rules of the house that no compiler checks.

use logq_tests::harness::repository;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CRATES: [&str; 5] = ["schemas", "collector", "processor", "query", "tests"];

/// Code lines a file may have.
const CODE_LINES_MAX: usize = 500;

/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[
    (
        "query/src/detect/tests.rs",
        "tests of the whole engine against recorded events share one loader and its expectations",
    ),
    (
        "collector/src/sources/journald/tests.rs",
        "journals made by systemd, damaged ones and live writers share one reader under test",
    ),
];

/// Names that say nothing about what is inside.
const FORBIDDEN_NAMES: [&str; 8] =
    ["common", "utils", "util", "types", "helpers", "helper", "manager", "misc"];

fn packages() -> Vec<(String, String)> {
    let lock: toml::Table = fs::read_to_string(repository().join("Cargo.lock")).unwrap().parse().unwrap();
    lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            (package["name"].as_str().unwrap().to_owned(), package["version"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// Every Rust file of the workspace, relative to its root.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in CRATES {
        let walk = walkdir::WalkDir::new(repository().join(name)).sort_by_file_name();
        for entry in walk.into_iter().filter_map(Result::ok) {
            if entry.path().extension().is_some_and(|extension| extension == "rs") {
                files.push(entry.path().strip_prefix(repository()).unwrap().to_owned());
            }
        }
    }
    assert!(files.len() > 50, "only {} files: the search is broken", files.len());
    files
}

#[test]
fn the_lock_file_has_one_version_of_the_lake_and_of_the_query_engine() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version) in packages() {
        let family =
            name.starts_with("arrow") || name.starts_with("datafusion") || name.starts_with("deltalake");
        if family || matches!(name.as_str(), "parquet" | "object_store") {
            versions.entry(name).or_default().insert(version);
        }
    }
    for needed in ["arrow-array", "parquet", "datafusion", "object_store", "deltalake-core"] {
        assert!(versions.contains_key(needed), "{needed} is not in Cargo.lock: the check is broken");
    }
    let several: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    assert!(
        several.is_empty(),
        "more than one version of {several:?}: align them in the workspace's Cargo.toml"
    );
}

/// Normal dependencies of a crate, all the way down.
fn closure(package: &str, depth: Option<&str>) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.current_dir(repository());
    command.args([
        "tree",
        "--offline",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--package",
        package,
    ]);
    command.args(depth.map(|depth| ["--depth", depth]).into_iter().flatten());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty() && *name != package)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_collector_never_links_arrow_parquet_or_datafusion() {
    let closure = closure("logq-collector", None);
    assert!(closure.contains("logq-schemas"), "the check is broken: {closure:?}");
    let heavy: Vec<_> = closure
        .iter()
        .filter(|name| {
            ["arrow", "parquet", "datafusion", "deltalake", "delta_kernel"]
                .iter()
                .any(|h| name.starts_with(h))
        })
        .collect();
    assert!(heavy.is_empty(), "the collector depends on {heavy:?}");
}

#[test]
fn schemas_depends_on_serde_and_memchr_only() {
    let direct = closure("logq-schemas", Some("1"));
    assert_eq!(direct, ["memchr", "serde", "serde_json"].map(str::to_owned).into());
}

#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 5] = [
        ("schemas", &[]),
        ("collector", &["logq-schemas"]),
        ("processor", &["logq-schemas"]),
        // The processor's parsers, for files queried without a lake: docs/adr/0004.
        ("query", &["logq-processor", "logq-schemas"]),
        ("tests", &["logq-schemas"]),
    ];
    for (name, allowed) in allowed {
        let manifest: toml::Table =
            fs::read_to_string(repository().join(name).join("Cargo.toml")).unwrap().parse().unwrap();
        let Some(dependencies) = manifest.get("dependencies").and_then(toml::Value::as_table) else {
            continue;
        };
        for dependency in dependencies.keys().filter(|key| key.starts_with("logq-")) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn files_are_named_after_what_they_hold() {
    for file in sources() {
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert_ne!(
            stem,
            "mod",
            "{}: use {}.rs beside the folder",
            file.display(),
            file.parent().unwrap().display()
        );
        assert!(!FORBIDDEN_NAMES.contains(&stem.as_str()), "{}: say what is inside", file.display());
    }
}

/// Lines that are neither blank nor comment, up to the tests at the end.
fn code_lines(text: &str) -> usize {
    text.lines()
        .map(str::trim)
        .take_while(|line| *line != "mod tests {")
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

#[test]
fn files_stay_short_enough_to_read() {
    let mut long = Vec::new();
    for file in sources() {
        let name = file.display().to_string();
        let lines = code_lines(&fs::read_to_string(repository().join(&file)).unwrap());
        let excused = LONGER.iter().any(|(longer, _)| *longer == name);
        match (lines > CODE_LINES_MAX, excused) {
            (true, false) => long.push(format!("{name}: {lines}")),
            (false, true) => long.push(format!("{name} is short now: take it from the list")),
            _ => {}
        }
    }
    assert!(
        long.is_empty(),
        "files above {CODE_LINES_MAX} code lines: split them, or list them with a reason: {long:#?}"
    );
}

/// Promise numbers of `## G<N> …` headings with the test names of their `Tests:` lines.
fn promises(text: &str) -> BTreeMap<u32, BTreeSet<String>> {
    let mut promises = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## G") {
            let digits: String = heading.chars().take_while(char::is_ascii_digit).collect();
            current = digits.parse().ok();
            if let Some(number) = current {
                promises.insert(number, BTreeSet::new());
            }
        } else if let (Some(number), Some(names)) = (current, line.strip_prefix("Tests:")) {
            let names = names.split('`').skip(1).step_by(2).map(str::to_owned);
            promises.entry(number).or_insert_with(BTreeSet::new).extend(names);
        }
    }
    promises
}

/// Names of functions under `#[test]` that start with `g<N>_`, by number.
fn tests_by_promise() -> BTreeMap<u32, BTreeSet<String>> {
    let mut tests: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for file in sources() {
        let text = fs::read_to_string(repository().join(&file)).unwrap();
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
                continue;
            }
            let Some(function) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")) else {
                continue;
            };
            let name: String =
                function.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let number = name
                .strip_prefix('g')
                .and_then(|rest| rest.split_once('_'))
                .and_then(|(n, _)| n.parse().ok());
            if let Some(number) = number.filter(|_| marked) {
                tests.entry(number).or_default().insert(name);
            }
            marked = false;
        }
    }
    tests
}

#[test]
fn every_promise_has_its_tests_and_every_such_test_its_promise() {
    let path = repository().join("docs/guarantees.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (promised, tested) = (promises(&text), tests_by_promise());
    assert!(!promised.is_empty(), "no `## G<N>` heading in docs/guarantees.md");
    for (number, names) in &promised {
        assert!(!names.is_empty(), "G{number} names no test: add a line `Tests: `g{number}_…``");
        let existing = tested.get(number).cloned().unwrap_or_default();
        let missing: Vec<_> = names.difference(&existing).collect();
        assert!(missing.is_empty(), "G{number} names tests that do not exist: {missing:?}");
        let unlisted: Vec<_> = existing.difference(names).collect();
        assert!(
            unlisted.is_empty(),
            "tests of G{number} that docs/guarantees.md does not list: {unlisted:?}"
        );
    }
    for number in tested.keys() {
        assert!(
            promised.contains_key(number),
            "tests for G{number}, which docs/guarantees.md does not promise"
        );
    }
}

#[test]
fn the_checks_read_what_they_should() {
    let promises = promises("# x\n## G1 no loss\ntext\nTests: `g1_a`, `g1_b`\n## G12 y\nTests: `g12_c`\n");
    assert_eq!(promises[&1], ["g1_a", "g1_b"].map(str::to_owned).into());
    assert_eq!(promises[&12], ["g12_c"].map(str::to_owned).into());
    assert_eq!(code_lines("//! x\n\nfn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\n"), 2);
    assert!(tests_by_promise().contains_key(&1));
}

#[test]
fn nothing_in_the_tree_names_the_machine_it_was_written_on() {
    // Split, so that this file does not name them either.
    let private = [["/work/", "main"].concat(), ["/work/", "shared"].concat(), ["/ro", "ot/"].concat()];
    let text_files = |path: &Path| {
        path.extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| matches!(e, "rs" | "md" | "toml" | "yml" | "sql" | "txt"))
    };
    let mut roots: Vec<PathBuf> = CRATES.iter().map(|name| repository().join(name)).collect();
    roots.push(repository().join("docs"));
    for root in roots {
        for entry in
            walkdir::WalkDir::new(root).into_iter().filter_map(Result::ok).filter(|e| text_files(e.path()))
        {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            for name in &private {
                assert!(!text.contains(name.as_str()), "{} names {name}", entry.path().display());
            }
        }
    }
}

//! What turns which page: a stage that died, one that is silent, one that waits, one that fails.

use super::{Health, Progress, STUCK_AFTER, thread};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A stage whose last sign of life is as old as the process of the test pretends.
fn silent(health: &Health, name: &str, age: Duration) -> Arc<Progress> {
    let start = Instant::now().checked_sub(age).unwrap();
    let progress = Arc::new(Progress { start, ..Progress::default() });
    health.lock().push((name.to_owned(), progress.clone()));
    progress
}

#[test]
fn a_silent_stage_is_stuck_after_its_time_and_one_that_waits_is_not() {
    let health = Health::default();
    let hung = silent(&health, "spool", STUCK_AFTER + Duration::from_secs(1));
    let waiting = silent(&health, "source pods", STUCK_AFTER + Duration::from_secs(1));
    waiting.waiting.store(true, Ordering::Relaxed);
    silent(&health, "sink slow", STUCK_AFTER / 2);
    assert_eq!(health.stuck(), ["spool"], "the source waits for the spool: only that is to blame");
    hung.beat();
    assert!(health.stuck().is_empty());
    waiting.waiting.store(false, Ordering::Relaxed);
    assert_eq!(health.stuck(), ["source pods"]);
}

#[test]
fn a_source_that_died_while_it_handed_over_is_noticed_at_once() {
    let health = Health::default();
    let progress = health.add("source pods");
    let guard = progress.guard();
    progress.set_waiting(true);
    let died = thread("source", move || {
        let _guard = guard;
        panic!("a transform failed");
    });
    assert!(died.unwrap().join().is_err());
    assert_eq!(health.stuck(), ["source pods"]);
}

#[tokio::test]
async fn a_sink_that_died_while_it_had_nothing_to_do_is_noticed_at_once() {
    let health = Health::default();
    let progress = health.add("sink out");
    let guard = progress.guard();
    progress.set_waiting(true);
    let died = tokio::spawn(async move {
        let _guard = guard;
        panic!("a sink failed");
    });
    assert!(died.await.is_err());
    assert_eq!(health.stuck(), ["sink out"]);
}

#[test]
fn a_source_that_has_read_everything_and_ends_is_not_dead() {
    let health = Health::default();
    let guard = health.add("source stdin").guard();
    thread("source", move || drop(guard)).unwrap().join().unwrap();
    assert!(health.stuck().is_empty());
}

/// A source with a bug.
#[derive(Debug)]
struct Panics;

impl crate::config::component::Described for Panics {
    fn kind(&self) -> &'static str {
        "panics"
    }

    fn table(&self) -> toml::Table {
        toml::Table::new()
    }
}

impl crate::sources::SourceConfig for Panics {
    fn memory(&self) -> crate::memory::Reads {
        crate::memory::Reads::default()
    }

    fn run(&self, _wiring: crate::sources::Wiring) {
        panic!("on purpose");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_panicked_is_not_an_input_that_ended_well() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "data_dir = {:?}\nnode = \"n\"\nadmin.address = \"\"\n[sources.in]\ntype = \"stdin\"\n\
         [sinks.out]\ntype = \"blackhole\"\ninputs = [\"in\"]\n",
        dir.path()
    );
    let mut config = crate::config::Config::parse(std::path::Path::new("c.toml"), &text, &|_| None).unwrap();
    config.sources.insert("in".to_owned(), Arc::new(Panics));
    let ended = super::run(config.clone(), None, || Ok(config.clone())).await;
    assert!(matches!(ended, Err(super::RunError::SourceEnded)), "{ended:?}");
}

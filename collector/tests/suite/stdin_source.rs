//! The source stdin, in a pipe as a shell makes it.

use crate::program::{Bench, Delivered};
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

const CONFIG: &str = "[sources.in]\ntype = \"stdin\"\n[sinks.out]inputs = [\"in\"]\n";

fn texts(mut delivered: Vec<Delivered>) -> Vec<String> {
    delivered.sort_by_key(|record| record.offset);
    delivered.into_iter().map(|record| String::from_utf8(record.body).unwrap()).collect()
}

#[test]
fn the_end_of_a_pipe_ends_the_collector_with_every_line_delivered_once() {
    let bench = Bench::of(CONFIG);
    let mut child = bench.command().stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines: Vec<String> = (0..5000).map(|n| format!("line {n}")).collect();
    lines.push("no newline".to_owned());
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(lines.join("\n").as_bytes()).unwrap();
    drop(pipe);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(texts(bench.delivered()), lines);
}

#[test]
fn a_file_is_read_to_its_end_and_an_empty_input_is_no_error() {
    let bench = Bench::of(CONFIG);
    let path = bench.root.join("in.log");
    fs::write(&path, "a\nb\n").unwrap();
    let output = bench.command().stdin(fs::File::open(&path).unwrap()).output().unwrap();
    assert_eq!((output.status.code(), texts(bench.delivered())), (Some(0), vec!["a".into(), "b".into()]));
    let output = bench.command().stdin(Stdio::null()).output().unwrap();
    assert_eq!((output.status.code(), bench.delivered().len()), (Some(0), 2));
}

#[test]
fn a_signal_ends_a_source_whose_input_stays_open() {
    let bench = Bench::of(CONFIG);
    let mut command = bench.command();
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = crate::program::Running(command.spawn().unwrap());
    let mut pipe = running.0.stdin.take().unwrap();
    pipe.write_all(b"whole\nbegun").unwrap();
    running.until(|| !bench.delivered().is_empty());
    assert_eq!(running.terminate(), Some(0));
    assert_eq!(texts(bench.delivered()), ["whole", "begun"]);
    drop(pipe);
}

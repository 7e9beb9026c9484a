use super::*;
use crate::position::Fingerprint;
use crate::stream::{Meta, Owner, Stream};
use std::path::Path;
use std::sync::Arc;

const MAX: usize = 4096;

/// Text, offset and split mark of every record, plus the standard stream.
type Seen = (String, u64, bool, Stdio);

fn stdio_of(stream: &Stream) -> Stdio {
    let all = [Stdio::Stdout, Stdio::Stderr, Stdio::Unknown];
    all.into_iter().find(|stdio| stdio.as_str() == stream.about.stdio).unwrap()
}

fn stream_of(batch: &mut Batch, stdio: Stdio) -> u32 {
    if let Some(at) = batch.streams.iter().position(|stream| stdio_of(stream) == stdio) {
        return at as u32;
    }
    let owner = Owner::parse("a_b_c", "d", "0.log").unwrap();
    batch.streams.push(Arc::new(Stream::of_file(
        Fingerprint(1),
        &owner,
        stdio,
        Path::new("0.log"),
        &Meta::default(),
    )));
    batch.streams.len() as u32 - 1
}

/// Feeds `text[from..to]` in windows of `step` bytes and returns the offset reached.
fn feed(assembler: &mut Assembler, batch: &mut Batch, text: &[u8], from: usize, step: usize) -> usize {
    let mut at = from;
    let mut len = step;
    while at < text.len() {
        let end = text.len().min(at + len);
        let start = batch.used;
        batch.window(end - at).copy_from_slice(&text[at..end]);
        let window = Window { start, end: start + end - at, offset: at as u64 };
        let mut used = assembler.lines(batch, window, &mut stream_of);
        if used == 0 && end - at == MAX {
            assembler.long_piece(batch, window, &mut stream_of);
            used = end - at;
        } else if used == 0 && end == text.len() {
            break;
        }
        len = if used == 0 || assembler.long_line().is_some() { (len * 2).min(MAX) } else { step };
        if assembler.long_line().is_some() {
            len = MAX;
        }
        batch.used += used;
        at += used;
    }
    at
}

fn seen(batch: &Batch) -> Vec<Seen> {
    let of = |record: &Record| {
        let body = String::from_utf8_lossy(batch.bytes(record.body)).into_owned();
        (body, record.offset, record.cut == Cut::Split, stdio_of(&batch.streams[record.stream as usize]))
    };
    batch.records.iter().map(of).collect()
}

fn times(batch: &Batch) -> Vec<String> {
    let of = |record: &Record| String::from_utf8_lossy(batch.bytes(record.time)).into_owned();
    batch.records.iter().map(of).collect()
}

fn line(n: u32, stdio: &str, tag: &str, text: &str) -> String {
    format!("2026-11-22T10:00:{n:02}.5Z {stdio} {tag} {text}\n")
}

#[test]
fn partial_lines_are_joined_per_standard_stream() {
    let text = [
        line(0, "stdout", "P", "out-1 "),
        line(1, "stderr", "P", "err-1 "),
        line(2, "stdout", "F", "out-2"),
        line(3, "stdout", "F", "alone"),
        line(4, "stderr", "F", "err-2"),
    ];
    let offsets: Vec<u64> =
        text.iter().scan(0, |at, line| Some(std::mem::replace(at, *at + line.len() as u64))).collect();
    let (mut assembler, mut batch) = (Assembler::new(MAX), Batch::default());
    feed(&mut assembler, &mut batch, text.concat().as_bytes(), 0, MAX);
    let expected = [
        ("out-1 out-2".to_owned(), offsets[0], false, Stdio::Stdout),
        ("alone".to_owned(), offsets[3], false, Stdio::Stdout),
        ("err-1 err-2".to_owned(), offsets[1], false, Stdio::Stderr),
    ];
    assert_eq!(seen(&batch), expected);
    assert_eq!(times(&batch)[0], "2026-11-22T10:00:00.5Z");
}

#[test]
fn a_line_of_another_format_is_kept_with_the_last_time() {
    let text = ["garbage\n".to_owned(), line(7, "stdout", "F", "x"), "{\"log\":\"y\"}\n".to_owned()].concat();
    let (mut assembler, mut batch) = (Assembler::new(MAX), Batch::default());
    feed(&mut assembler, &mut batch, text.as_bytes(), 0, MAX);
    let bodies: Vec<String> = seen(&batch).into_iter().map(|record| record.0).collect();
    assert_eq!(bodies, ["garbage", "x", "{\"log\":\"y\"}"]);
    assert_eq!(times(&batch), [NO_TIME, "2026-11-22T10:00:07.5Z", "2026-11-22T10:00:07.5Z"]);
    assert_eq!(assembler.take_noted(), Noted { malformed: 2, ..Noted::default() });
}

#[test]
fn an_oversized_record_is_split_and_nothing_of_it_is_lost() {
    let part = "p".repeat(1000);
    let mut text: String = (0..10).map(|n| line(n, "stdout", "P", &part)).collect();
    text += &line(10, "stdout", "F", "end");
    text += &line(11, "stdout", "F", "after");
    let (mut assembler, mut batch) = (Assembler::new(MAX), Batch::default());
    feed(&mut assembler, &mut batch, text.as_bytes(), 0, MAX);
    let records = seen(&batch);
    let (after, pieces) = records.split_last().unwrap();
    assert_eq!((after.0.as_str(), after.2), ("after", false));
    assert!(pieces.iter().all(|piece| piece.2 && piece.0.len() <= MAX), "{pieces:?}");
    let joined: String = pieces.iter().map(|piece| piece.0.as_str()).collect();
    assert_eq!(joined, part.repeat(10) + "end");
    assert_eq!(assembler.take_noted().split, 1);
}

#[test]
fn an_oversized_physical_line_is_cut_at_fixed_places() {
    let long = "z".repeat(3 * MAX);
    for text in [line(0, "stderr", "F", &long), format!("{long}\n"), format!("{}\n", "z".repeat(2 * MAX))] {
        let all = text.clone() + &line(1, "stdout", "F", "after");
        for step in [64, 1000, MAX] {
            let (mut assembler, mut batch) = (Assembler::new(MAX), Batch::default());
            feed(&mut assembler, &mut batch, all.as_bytes(), 0, step);
            let records = seen(&batch);
            let (after, pieces) = records.split_last().unwrap();
            assert_eq!(after.0, "after");
            assert!(pieces.iter().enumerate().all(|(k, piece)| piece.1 == (k * MAX) as u64 && piece.2));
            assert!(pieces.windows(2).all(|pair| pair[0].3 == pair[1].3));
            let joined: String = pieces.iter().map(|piece| piece.0.as_str()).collect();
            assert!(text.trim_end().ends_with(&joined) && joined.len() + 40 > text.len());
        }
    }
}

#[test]
fn the_end_of_a_file_closes_what_is_open() {
    let text = line(0, "stdout", "P", "never ") + "2026-11-22T10:00:01Z stderr F no newline";
    let (mut assembler, mut batch) = (Assembler::new(MAX), Batch::default());
    let at = feed(&mut assembler, &mut batch, text.as_bytes(), 0, MAX);
    assert_eq!(seen(&batch), []);
    let rest = &text.as_bytes()[at..];
    let start = batch.used;
    batch.window(rest.len()).copy_from_slice(rest);
    let window = Window { start, end: start + rest.len(), offset: at as u64 };
    assembler.finish(&mut batch, window, &mut stream_of);
    let bodies: Vec<String> = seen(&batch).into_iter().map(|record| record.0).collect();
    assert_eq!(bodies, ["no newline", "never "]);
    assert_eq!(assembler.take_noted().unterminated, 2);
    assert!(assembler.open().is_empty());
}

/// Stop after every line, resume from the position, and compare with an uninterrupted reading.
#[test]
fn a_restart_after_any_line_repeats_and_loses_nothing() {
    let part = "q".repeat(1500);
    let mut text = String::new();
    for n in 0..6u32 {
        text += &line(n, "stdout", "P", &part);
        text += &line(n, "stderr", if n % 2 == 0 { "P" } else { "F" }, &format!("err {n}"));
        text += "odd line\n";
        if n == 2 {
            text += &line(n, "stdout", "F", &"w".repeat(2 * MAX + 5));
        }
        if n == 4 {
            text += &line(n, "stdout", "F", "done");
        }
    }
    let text = text.as_bytes();
    let (mut whole, mut expected) = (Assembler::new(MAX), Batch::default());
    feed(&mut whole, &mut expected, text, 0, MAX);
    let expected: Vec<(Seen, String)> = seen(&expected).into_iter().zip(times(&expected)).collect();
    for stop in 1..=text.len() {
        let (mut first, mut before) = (Assembler::new(MAX), Batch::default());
        let at = feed(&mut first, &mut before, &text[..stop], 0, 700);
        let position = Position {
            id: Fingerprint(1),
            to: at as u64,
            open: first.open(),
            long_line: first.long_line(),
            time: first.time(),
            path: String::new(),
            signs: crate::position::Signs::default(),
        };
        let (mut second, mut after) = (Assembler::resume(MAX, &position), Batch::default());
        feed(&mut second, &mut after, text, position.resume_at() as usize, 700);
        let both: Vec<(Seen, String)> = seen(&before)
            .into_iter()
            .zip(times(&before))
            .chain(seen(&after).into_iter().zip(times(&after)))
            .collect();
        assert_eq!(both, expected, "stopped at {stop}, position {position:?}");
    }
}

/// Many streams with open records share one budget: what is held stays within it, and every byte
/// comes out.
#[test]
fn open_records_of_all_files_share_a_budget_and_lose_nothing() {
    let (part, parts, streams, limit) = ("x".repeat(100), 30, 50, 20_000);
    let options = Options { held: Budget::new(limit), ..Options::from(MAX) };
    let mut assemblers: Vec<Assembler> = (0..streams).map(|_| Assembler::new(options.clone())).collect();
    let mut bodies = vec![String::new(); streams];
    let mut cuts = 0;
    let mut offsets = vec![0; streams];
    for number in 0..=parts {
        for (stream, assembler) in assemblers.iter_mut().enumerate() {
            let tag = if number == parts { 'F' } else { 'P' };
            let line = format!("2026-11-22T10:00:00Z stdout {tag} {part}\n");
            let mut batch = Batch::default();
            batch.window(line.len()).copy_from_slice(line.as_bytes());
            let window = Window { start: 0, end: line.len(), offset: offsets[stream] };
            offsets[stream] += assembler.lines(&mut batch, window, &mut stream_of) as u64;
            assert!(options.held.used() <= limit + streams * part.len(), "{}", options.held.used());
            for (body, _, split, _) in seen(&batch) {
                bodies[stream].push_str(&body);
                cuts += usize::from(split);
            }
        }
    }
    assert!(cuts > 0, "150,000 bytes do not fit into 20,000");
    assert!(bodies.iter().all(|body| *body == part.repeat(parts + 1)));
    assert_eq!(options.held.used(), 0, "everything was given back");
}

/// Without a budget for more, a record that is to be truncated keeps its beginning and nothing from
/// its middle, also when there is room again.
#[test]
fn a_record_cut_for_want_of_budget_is_a_beginning() {
    let held = Budget::new(10);
    let options = Options { held: held.clone(), truncate: true, ..Options::from(MAX) };
    let mut assembler = Assembler::new(options);
    let mut other = held.lease();
    assert!(other.grow(7));
    let mut batch = Batch::default();
    let text = "2026-11-22T10:00:00Z stdout P abc\n2026-11-22T10:00:00Z stdout P def\n";
    let at = feed(&mut assembler, &mut batch, text.as_bytes(), 0, 200);
    other.clear();
    let text = format!("{text}2026-11-22T10:00:00Z stdout F ghi\n");
    feed(&mut assembler, &mut batch, text.as_bytes(), at, 200);
    assert_eq!(seen(&batch).into_iter().map(|seen| seen.0).collect::<Vec<_>>(), ["abc"]);
    assert_eq!(held.used(), 0);
}

#[test]
fn a_stream_that_is_skipped_is_counted_and_holds_nothing() {
    let long = "x".repeat(3 * MAX);
    let text = [
        line(0, "stdout", "F", "out 1"),
        line(1, "stderr", "P", "err "),
        line(2, "stdout", "P", "out "),
        line(3, "stderr", "F", "1"),
        line(4, "stderr", "F", &long),
        line(5, "stdout", "F", "2"),
        line(6, "stderr", "P", "open"),
    ]
    .concat();
    for step in [7, 64, MAX] {
        let mut assembler = Assembler::new(Options { skip: [false, true], ..Options::from(MAX) });
        let mut batch = Batch::default();
        assert_eq!(feed(&mut assembler, &mut batch, text.as_bytes(), 0, step), text.len());
        let bodies: Vec<String> = seen(&batch).into_iter().map(|(body, ..)| body).collect();
        assert_eq!(bodies, ["out 1", "out 2"], "{step}");
        assert_eq!((assembler.take_noted().excluded, assembler.open()), (2, Vec::new()), "{step}");
    }
}

#[test]
fn what_was_held_of_a_stream_goes_when_it_is_skipped_from_now_on() {
    let text = [line(0, "stderr", "P", "half"), line(1, "stdout", "P", "out ")].concat();
    let mut assembler = Assembler::new(MAX);
    let mut batch = Batch::default();
    feed(&mut assembler, &mut batch, text.as_bytes(), 0, MAX);
    assembler.set_wishes(Options { skip: [false, true], ..Options::from(MAX) });
    let rest = text.clone() + &line(2, "stderr", "F", " err") + &line(3, "stdout", "F", "1");
    feed(&mut assembler, &mut batch, rest.as_bytes(), text.len(), MAX);
    let bodies: Vec<String> = seen(&batch).into_iter().map(|(body, ..)| body).collect();
    assert_eq!(bodies, ["out 1"]);
    assert_eq!(assembler.take_noted().excluded, 1);
}

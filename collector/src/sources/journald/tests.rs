//! Recorded journals and, where systemd's tools are installed, fresh ones: `journalctl -o export` is
//! what we are compared with, entry by entry.
//!
//! The recorded files were written by `systemd-journal-remote` 252 from text made for this purpose.

use super::format::Pages;
use super::journal::{Journal, Next};
use super::payload::Payloads;
use super::reader::Reader;
use super::{JournaldSettings, Matches};
use crate::batch::Batch;
use crate::config::{BatchLimits, ByteSize, Config, Span};
use crate::extra::Extra;
use crate::graph::Graph;
use crate::metrics::Metrics;
use crate::position::Positions;
use crate::sources::{Output, Wiring};
use crate::topology::Progress;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const REMOTE: &str = "/lib/systemd/systemd-journal-remote";

/// Fields of an entry, in the order of names and values.
type Fields = BTreeMap<String, Vec<Vec<u8>>>;

/// What came out, as far as tests look at it.
#[derive(Debug, Clone, PartialEq)]
struct Got {
    identity: (String, u64),
    time: String,
    body: Vec<u8>,
    cut: bool,
    extra: Extra,
    service: String,
    host: String,
}

struct Bench {
    reader: Reader,
    batches: Receiver<Batch>,
    metrics: Arc<Metrics>,
    _runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn start(dir: &Path, settings: &JournaldSettings, positions: &Positions) -> Self {
        let text = "data_dir = \"/d\"\nnode = \"n\"\n[sources.j]\ntype = \"journald\"\n\
                    [sinks.out]\ntype = \"blackhole\"\ninputs = [\"j\"]\n";
        let config = Config::parse(Path::new("c.toml"), text, &|_| None).unwrap();
        let metrics = Arc::new(Metrics::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (sender, batches) = sync_channel(10_000);
        let hour = Span::from(Duration::from_secs(3600));
        let wiring = Wiring {
            name: "j".into(),
            cluster: "c".into(),
            node: "n".into(),
            data_dir: dir.to_owned(),
            output: Output {
                entrance: Graph::build(&config, metrics.clone()).unwrap().entrance("j"),
                sender,
            },
            empty: sync_channel(1).1,
            limits: BatchLimits { max_bytes: ByteSize::new(16 * 1024), timeout_secs: hour },
            positions: positions.clone(),
            stop: CancellationToken::new(),
            progress: Arc::new(Progress::default()),
            metrics: metrics.clone(),
            memory: crate::memory::Caps::default(),
            runtime: runtime.handle().clone(),
        };
        let settings = JournaldSettings { journal_directory: Some(dir.to_owned()), ..settings.clone() };
        Self { reader: Reader::new(settings, wiring), batches, metrics, _runtime: runtime }
    }

    /// Reads all there is and hands it over.
    fn settle(&mut self) {
        self.reader.hurry();
        while self.reader.turn() {}
        self.reader.flush();
    }

    /// Takes `max` batches over, as the spool does.
    fn store(&self, max: usize, positions: &mut Positions) -> Vec<Got> {
        let mut all = Vec::new();
        for batch in self.batches.try_iter().take(max) {
            for advance in &batch.advances {
                assert!(positions.apply_continuous(advance), "{advance:?} does not continue");
            }
            all.extend(batch.lanes[0].iter().map(|record| {
                let about = &batch.streams[record.stream as usize].about;
                Got {
                    identity: (about.id.clone(), record.offset),
                    time: String::from_utf8(batch.bytes(record.time).to_vec()).unwrap(),
                    body: batch.bytes(record.body).to_vec(),
                    cut: record.cut != crate::batch::Cut::No,
                    extra: Extra::of(&batch, record),
                    service: about.service.clone(),
                    host: about.host.clone(),
                }
            }));
        }
        all
    }
}

fn read(dir: &Path, settings: &JournaldSettings) -> Vec<Got> {
    let mut bench = Bench::start(dir, settings, &Positions::default());
    bench.settle();
    bench.store(usize::MAX, &mut Positions::default())
}

fn everything() -> JournaldSettings {
    JournaldSettings { include_fields: Some(vec!["*".into()]), ..JournaldSettings::default() }
}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journald").join(name);
    zstd::decode_all(File::open(path).unwrap()).unwrap()
}

/// A directory that holds one journal.
fn directory(name: &str, journal: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, journal).unwrap();
    (dir, path)
}

/// Reads the export format.
fn export(mut text: &[u8]) -> Vec<Fields> {
    let (mut entries, mut entry) = (Vec::new(), Fields::new());
    while let Some(end) = memchr::memchr(b'\n', text) {
        let line = &text[..end];
        text = &text[end + 1..];
        if line.is_empty() {
            entries.push(std::mem::take(&mut entry));
        } else if let Some(at) = memchr::memchr(b'=', line) {
            let name = String::from_utf8(line[..at].to_vec()).unwrap();
            entry.entry(name).or_default().push(line[at + 1..].to_vec());
        } else {
            let len = usize::try_from(super::format::u64_at(text, 0)).unwrap();
            let name = String::from_utf8(line.to_vec()).unwrap();
            entry.entry(name).or_default().push(text[8..8 + len].to_vec());
            text = &text[8 + len + 1..];
        }
    }
    entries.extend((!entry.is_empty()).then_some(entry));
    entries
}

fn compare(got: &[Got], expected: &[Fields]) {
    assert_eq!(got.len(), expected.len());
    for (got, fields) in got.iter().zip(expected) {
        let text = |name: &str| fields.get(name).map(|all| String::from_utf8_lossy(&all[0]).into_owned());
        let micros: i64 = text("__REALTIME_TIMESTAMP").unwrap().parse().unwrap();
        let time = chrono::DateTime::from_timestamp_micros(micros).unwrap();
        assert_eq!(got.time, time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
        assert_eq!(got.body, fields["MESSAGE"][0]);
        assert!(!got.cut);
        let number = [21, 19, 18, 17, 13, 10, 9, 5][text("PRIORITY").unwrap().parse::<usize>().unwrap()];
        assert_eq!(got.extra.severity_number, number);
        assert_eq!(got.service, text("_SYSTEMD_UNIT").or(text("SYSLOG_IDENTIFIER")).unwrap());
        assert_eq!(got.host, text("_HOSTNAME").unwrap());
        let cursor = text("__CURSOR").unwrap();
        let seqnum = cursor.split(";i=").nth(1).unwrap().split(';').next().unwrap();
        assert_eq!(got.identity.1, u64::from_str_radix(seqnum, 16).unwrap());
        let hidden =
            |name: &&String| !name.starts_with("__") && !["MESSAGE", "PRIORITY"].contains(&name.as_str());
        assert_eq!(got.extra.attributes.len(), fields.keys().filter(hidden).count(), "{got:?} {fields:?}");
        for (name, field) in [
            ("process.pid", "_PID"),
            ("process.user.id", "_UID"),
            ("code.line.number", "CODE_LINE"),
            ("journald._TRANSPORT", "_TRANSPORT"),
            ("host.name", "_HOSTNAME"),
            ("journald.TAG", "TAG"),
        ] {
            let value = got.extra.attributes.get(name).cloned().unwrap_or_default();
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            let values: BTreeSet<String> = values
                .into_iter()
                .filter(|value| !value.is_null())
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect();
            let wanted = fields.get(field).into_iter().flatten();
            let wanted: BTreeSet<_> = wanted.map(|value| String::from_utf8(value.clone()).unwrap()).collect();
            assert_eq!(values, wanted, "{name}");
        }
        assert!(got.extra.attributes.get("process.pid").is_none_or(serde_json::Value::is_u64));
    }
}

#[test]
fn recorded_journals_of_both_layouts_read_as_journalctl_reads_them() {
    for name in ["compact", "plain"] {
        let (dir, _) = directory("system.journal", &fixture(&format!("{name}.journal.zst")));
        compare(&read(dir.path(), &everything()), &export(&fixture(&format!("{name}.export.zst"))));
    }
}

#[test]
fn settings_choose_entries_and_fields() {
    let (dir, _) = directory("system.journal", &fixture("compact.journal.zst"));
    let all = export(&fixture("compact.export.zst"));
    let is = |fields: &Fields, name: &str, value: &str| {
        fields.get(name).is_some_and(|all| all.iter().any(|one| one == value.as_bytes()))
    };
    let count = |wanted: &dyn Fn(&Fields) -> bool| all.iter().filter(|fields| wanted(fields)).count();
    let taken = |settings: &str| read(dir.path(), &toml::from_str(settings).unwrap()).len();
    let sshd = |fields: &Fields| is(fields, "_SYSTEMD_UNIT", "sshd.service");
    let kernel = |fields: &Fields| is(fields, "_TRANSPORT", "kernel");
    assert_eq!(taken("include_units = [\"sshd\"]"), count(&sshd));
    assert_eq!(taken("exclude_units = [\"sshd.service\"]"), count(&|f| !sshd(f)));
    let both = "include_units = [\"sshd\"]\ninclude_matches = { _TRANSPORT = [\"kernel\"] }";
    assert_eq!(taken(both), count(&|f| sshd(f) || kernel(f)));
    assert_eq!(
        taken("exclude_matches = { TAG = [\"b0\", \"b1\"] }"),
        count(&|f| !is(f, "TAG", "b0") && !is(f, "TAG", "b1"))
    );
    let urgent = count(&|f| ["0", "1", "2", "3"].iter().any(|value| is(f, "PRIORITY", value)));
    assert_eq!((taken("priority = \"err\""), taken("priority = \"3\"")), (urgent, urgent));
    assert_eq!((taken("current_boot_only = true"), taken("since_now = true")), (0, 0));
    let few: JournaldSettings = toml::from_str(
        "include_fields = [\"_PID\", \"TAG\"]\nexclude_fields = [\"TAG\"]\nmax_line_bytes = 4096",
    )
    .unwrap();
    let few = read(dir.path(), &few);
    assert!(few.iter().all(|got| got.extra.attributes.keys().all(|key| key == "process.pid")));
    let long = all.iter().map(|fields| &fields["MESSAGE"][0]);
    for (got, long) in few.iter().zip(long) {
        assert_eq!((got.cut, &got.body[..]), (long.len() > 4096, &long[..long.len().min(4096)]));
    }
    assert!(few.iter().any(|got| got.cut));
}

#[test]
fn wrong_settings_are_refused() {
    use crate::config::component::Settings as _;
    for (text, key) in [
        ("priority = \"loud\"", "s.priority"),
        ("priority = \"8\"", "s.priority"),
        ("include_matches = { A = [] }", "s.include_matches.A"),
    ] {
        let settings: JournaldSettings = toml::from_str(text).unwrap();
        assert_eq!(settings.check("s").unwrap_err().key, key);
    }
    let empty = JournaldSettings { include_matches: Matches::new(), ..JournaldSettings::default() };
    assert!(empty.check("s").is_ok());
}

/// A file that holds nothing but a header and one data object.
fn lone_object(flags: u8, payload: &[u8]) -> Pages {
    let mut bytes = b"LPKSHHRH".to_vec();
    bytes.resize(208, 0);
    bytes.extend_from_slice(&[1, flags, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&(64 + payload.len() as u64).to_le_bytes());
    bytes.resize(208 + 64, 0);
    bytes.extend_from_slice(payload);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let mut pages = Pages::new(file);
    pages.header().unwrap();
    pages
}

#[test]
fn every_compression_is_undone_and_a_bomb_is_not() {
    let text = [b"MESSAGE=".to_vec(), b"packed by xz ".repeat(40)].concat();
    let lz4 = |size: u64| [&size.to_le_bytes()[..], &lz4_flex::block::compress(&text)].concat();
    let zstd = zstd::bulk::compress(&text, 1).unwrap();
    let whole = |flags, packed: &[u8]| {
        let mut payloads = Payloads::default();
        let found = payloads.read(&mut lone_object(flags, packed), 208, false, |_| true);
        found.map(|payload| payload.bytes.to_vec()).ok()
    };
    for (flags, packed) in [(0, text.clone()), (1, XZ.to_vec()), (2, lz4(text.len() as u64)), (4, zstd)] {
        assert_eq!(whole(flags, &packed).as_deref(), Some(&text[..]), "{flags}");
        assert!(flags == 0 || whole(flags, &packed[..packed.len() - 3]).is_none(), "{flags}");
        assert!(flags == 0 || whole(flags, b"nonsense").is_none(), "{flags}");
    }
    assert_eq!(whole(2, &lz4(1 << 40)), None);
    assert_eq!(whole(4, &zstd::bulk::compress(&vec![0; 65 << 20], 1).unwrap()), None);
}

/// Time, body and so on of entries that lie wholly before `place`, but for the last two: the array
/// that names an entry may lie behind it.
fn before(entries: &[(Got, u64)], place: u64) -> usize {
    entries.windows(3).take_while(|entries| entries[2].1 <= place).count()
}

/// The entries of a recorded journal, each with the offset of its last data object.
fn intact(journal: &[u8]) -> Vec<(Got, u64)> {
    let (dir, path) = directory("system@1.journal", journal);
    let got = read(dir.path(), &everything());
    let mut journal = Journal::open(File::open(path).unwrap()).unwrap();
    let mut offsets = Vec::new();
    while journal.peek(false).unwrap() == Next::Entry {
        offsets.push(*journal.entry.items.iter().max().unwrap());
        journal.take();
    }
    got.into_iter().zip(offsets).collect()
}

#[test]
fn a_damaged_journal_gives_what_lies_before_the_damage_and_ends() {
    let runs: u64 = std::env::var("LOGQ_RUNS").map_or(60, |runs| runs.parse().unwrap());
    for name in ["compact", "plain"] {
        let journal = fixture(&format!("{name}.journal.zst"));
        let entries = intact(&journal);
        let end = entries.last().unwrap().1;
        let arena = entries[0].1;
        for seed in 0..runs {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut bytes = journal.clone();
            // Half of the runs leave the head of the file alone, and with it what must come out.
            let first = if rng.random_bool(0.5) { arena } else { 0 };
            let mut place = u64::MAX;
            if rng.random_bool(0.3) {
                place = rng.random_range(first..end + 4096);
                bytes.truncate(usize::try_from(place).unwrap());
            } else {
                for _ in 0..rng.random_range(1..40) {
                    let at = rng.random_range(first..end + 512);
                    bytes[usize::try_from(at).unwrap()] = rng.random();
                    place = place.min(at);
                }
            }
            let (dir, _) = directory("system@1.journal", &bytes);
            let got = read(dir.path(), &everything());
            assert!(got.len() <= entries.len(), "{name} seed {seed}");
            if first > 0 {
                let certain = before(&entries, place);
                for (n, (expected, _)) in entries[..certain].iter().enumerate() {
                    assert_eq!(got.get(n), Some(expected), "{name} seed {seed}: entry {n} of {certain}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_written_yet_is_waited_for_in_a_live_file_and_skipped_in_an_archived_one() {
    let journal = fixture("compact.journal.zst");
    let entries = intact(&journal);
    // The last entry lies behind its last data object.
    let from = usize::try_from(entries.last().unwrap().1).unwrap() + 8;
    let torn: Vec<u8> = [&journal[..from], &vec![0; journal.len() - from]].concat();
    let (dir, path) = directory("system.journal", &torn);
    let mut positions = Positions::default();
    let mut bench = Bench::start(dir.path(), &everything(), &positions);
    bench.settle();
    let mut got = bench.store(usize::MAX, &mut positions);
    assert!(got.len() < entries.len());
    File::options().write(true).open(&path).unwrap().write_all_at(&journal[from..], from as u64).unwrap();
    bench.settle();
    got.extend(bench.store(usize::MAX, &mut positions));
    assert!(got.iter().eq(entries.iter().map(|(got, _)| got)));
    assert_eq!(bench.metrics.source_damaged_entries.get(), 0);

    let (dir, _) = directory("system@1.journal", &torn);
    let mut bench = Bench::start(dir.path(), &everything(), &Positions::default());
    bench.settle();
    assert!(bench.store(usize::MAX, &mut Positions::default()).len() < entries.len());
    assert!(bench.metrics.source_damaged_entries.get() > 0);
}

#[test]
fn a_renamed_or_copied_journal_is_not_read_again_nor_under_another_identity() {
    let journal = fixture("plain.journal.zst");
    let (dir, path) = directory("system.journal", &journal);
    let mut positions = Positions::default();
    let mut bench = Bench::start(dir.path(), &everything(), &positions);
    bench.settle();
    let first = bench.store(usize::MAX, &mut positions);
    let renamed = dir.path().join("system@1.journal");
    fs::rename(&path, &renamed).unwrap();
    fs::copy(&renamed, dir.path().join("copy@1.journal")).unwrap();
    for _ in 0..2 {
        bench.settle();
    }
    assert_eq!(bench.store(usize::MAX, &mut positions), []);
    let mut again = Bench::start(dir.path(), &everything(), &positions);
    again.settle();
    assert_eq!(again.store(usize::MAX, &mut positions), []);
    let mut fresh = read(dir.path(), &everything());
    assert_eq!(fresh.len(), first.len());
    fresh.retain(|got| !first.contains(got));
    assert_eq!(fresh, []);
}

#[test]
fn namespaces_and_users_are_read_as_configured() {
    let dir = tempfile::tempdir().unwrap();
    let id = "0123456789abcdef0123456789abcdef";
    let journal = fixture("plain.journal.zst");
    for (n, place) in [id.to_owned(), format!("{id}.apps"), format!("{id}.other")].iter().enumerate() {
        let place = dir.path().join(place);
        fs::create_dir(&place).unwrap();
        for (m, name) in ["system.journal", "user-1000.journal"].iter().enumerate() {
            let mut journal = journal.clone();
            journal[24] = u8::try_from(n * 2 + m).unwrap();
            fs::write(place.join(name), journal).unwrap();
        }
    }
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    fs::write(dir.path().join("elsewhere/system.journal"), &journal).unwrap();
    for (text, files) in [
        ("", 2),
        ("user_journals = false", 1),
        ("journal_namespace = \"apps\"", 2),
        ("journal_namespace = \"+apps\"", 4),
        ("journal_namespace = \"*\"", 6),
    ] {
        assert_eq!(read(dir.path(), &toml::from_str(text).unwrap()).len(), files * 60, "{text}");
    }
}

/// True when systemd's tools are there; says so when they are not.
fn have_tools() -> bool {
    let found = Path::new(REMOTE).exists() && Command::new("journalctl").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: needs systemd-journal-remote (apt-get install systemd-journal-remote)");
    }
    found
}

fn write_with(path: &Path, compact: bool) -> Child {
    Command::new(REMOTE)
        .env("SYSTEMD_JOURNAL_COMPACT", if compact { "1" } else { "0" })
        .env("SYSTEMD_JOURNAL_KEYED_HASH", if compact { "1" } else { "0" })
        .args(["-o", path.to_str().unwrap(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn journalctl(path: &Path) -> Vec<Fields> {
    let out = Command::new("journalctl").arg("--file").arg(path).args(["-o", "export"]).output().unwrap();
    export(&out.stdout)
}

/// An entry in the export format.
fn entry(n: u64, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let time = 1_764_000_000_000_000 + n * 1000;
    let wide = "w".repeat(rng.random_range(0..2000));
    format!(
        "__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n\
         _HOSTNAME=h{}\nPRIORITY={}\n_SYSTEMD_UNIT=u{}.service\n_TRANSPORT=stdout\nMESSAGE=#{n} {wide}\n\n",
        n * 1000,
        n % 2,
        n % 8,
        n % 5,
    )
    .into_bytes()
}

#[test]
fn fresh_journals_read_as_journalctl_reads_them() {
    if !have_tools() {
        return;
    }
    for compact in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("system.journal");
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut child = write_with(&path, compact);
        let mut input = child.stdin.take().unwrap();
        (1..3000).for_each(|n| input.write_all(&entry(n, &mut rng)).unwrap());
        drop(input);
        assert!(child.wait().unwrap().success());
        let expected = journalctl(&path);
        assert_eq!(expected.len(), 2999);
        compare(&read(dir.path(), &everything()), &expected);
    }
}

/// G1, G2: a writer at work, rotation, vacuum, and crashes of the collector between any two steps.
#[test]
fn entries_of_a_live_writer_arrive_once_through_rotation_and_restarts() {
    if !have_tools() {
        return;
    }
    let runs: u64 = std::env::var("LOGQ_RUNS").map_or(6, |runs| runs.parse().unwrap());
    for seed in 0..runs {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("system.journal");
        let mut positions = Positions::default();
        let mut bench = Bench::start(dir.path(), &everything(), &positions);
        let mut child = write_with(&path, seed % 2 == 0);
        let (mut got, mut written, mut rotations) = (Vec::new(), 0, 0);
        for _ in 0..120 {
            match rng.random_range(0..100) {
                0..45 => {
                    for _ in 0..rng.random_range(1..30) {
                        written += 1;
                        let text = entry(written, &mut rng);
                        child.stdin.as_mut().unwrap().write_all(&text).unwrap();
                    }
                }
                45..70 => {
                    bench.reader.hurry();
                    bench.reader.turn();
                }
                70..80 => bench.reader.flush(),
                80..90 => got.extend(bench.store(1, &mut positions)),
                90..95 => bench = Bench::start(dir.path(), &everything(), &positions),
                95..98 => {
                    // The writer is done with the file before the next one begins.
                    drop(child.stdin.take());
                    assert!(child.wait().unwrap().success());
                    rotations += 1;
                    let to = dir.path().join(format!("system@{rotations}.journal"));
                    if path.exists() {
                        fs::rename(&path, to).unwrap();
                    }
                    child = write_with(&path, rng.random_bool(0.5));
                }
                _ => {
                    // Vacuum: archived files go once everything in them is stored.
                    bench.settle();
                    got.extend(bench.store(usize::MAX, &mut positions));
                    for n in 1..=rotations {
                        let _ = fs::remove_file(dir.path().join(format!("system@{n}.journal")));
                    }
                }
            }
        }
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        bench.settle();
        got.extend(bench.store(usize::MAX, &mut positions));
        let number = |got: &Got| -> u64 {
            let text = String::from_utf8_lossy(&got.body[1..]).into_owned();
            text.split(' ').next().unwrap().parse().unwrap()
        };
        let mut numbers: Vec<u64> = got.iter().map(number).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=written), "seed {seed}: {} of {written}", numbers.len());
        let identities: BTreeSet<_> = got.iter().map(|got| &got.identity).collect();
        assert_eq!(identities.len(), got.len(), "seed {seed}");
    }
}

/// What `xz --check=none` makes of the text in the test above.
#[rustfmt::skip]
const XZ: &[u8] = &[253, 55, 122, 88, 90, 0, 0, 0, 255, 18, 217, 65, 2, 0, 33, 1, 22, 0, 0, 0, 116, 47, 229, 163, 224, 2, 15, 0, 30, 93, 0, 38, 145, 70, 192, 209, 148, 87, 228, 148, 199, 241, 67, 241, 225, 87, 113, 150, 85, 57, 155, 219, 57, 238, 158, 199, 129, 144, 170, 0, 0, 0, 0, 0, 0, 1, 50, 144, 4, 0, 0, 0, 60, 194, 131, 212, 168, 0, 10, 252, 2, 0, 0, 0, 0, 0, 89, 90];

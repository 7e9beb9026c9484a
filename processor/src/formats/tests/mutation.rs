//! Bit flips, cuts and splices of whole objects, recorded ones (where they are present) and written
//! ones: nothing panics, the counts add up, what comes out is bounded by what went in.
//!
//! `LOGQ_SEED` repeats a run; `LOGQ_MUTATIONS` says how many there are.

use super::*;
use std::fs;

/// Objects larger than this would make a run slow and find nothing more.
const OBJECT_MAX: u64 = 64 << 10;

/// SplitMix64: a seed gives the same mutations on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn objects() -> Vec<Vec<u8>> {
    let joined = format!("{}{}", flow_line(1), flow_line(2));
    let document = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logEvents":[{{"id":"1","timestamp":1,"message":"{}"}}]}}"#,
        flow_line(3)
    );
    let mut objects: Vec<Vec<u8>> = vec![
        log_file(5).into_bytes(),
        (0..5).map(|number| event(number) + "\n").collect::<String>().into_bytes(),
        flow_file(9).into_bytes(),
        joined.into_bytes(),
        [document.as_str(), document.as_str()].concat().into_bytes(),
        landing_file(9).into_bytes(),
        flow::parquet(flow::typed()),
        br#"{"QueryResultRows":[[{"eventID":"q"},{"eventTime":"2024-05-01 10:00:00"},{"eventSource":"s"},{"eventName":"n"}]]}"#.to_vec(),
        [gzip(log_file(2).as_bytes()), gzip(flow_file(2).as_bytes())].concat(),
        [zst(landing_file(3).as_bytes()), zst(landing_file(4).as_bytes())].concat(),
    ];
    if let Some(root) = fixtures::root() {
        let mut found = Vec::new();
        fixtures::files(&root, &mut found);
        let small = |path: &std::path::PathBuf| fs::metadata(path).is_ok_and(|meta| meta.len() <= OBJECT_MAX);
        objects.extend(found.iter().filter(|path| small(path)).filter_map(|path| fs::read(path).ok()));
    }
    for at in 0..10 {
        let packed = [gzip(&objects[at]), zst(&objects[at])];
        objects.extend(packed);
    }
    objects
}

fn mutated(objects: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = objects[random.below(objects.len())].clone();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => {
                // The head of one object and the tail of another.
                let other = &objects[random.below(objects.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
            2 => {
                let end = (at + random.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let end = (at + random.below(200)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let sign = *b"{}[]\",: \n\\0-\xff\x00".get(random.below(14)).unwrap_or(&0);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = sign;
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes
}

#[test]
fn mutated_objects_never_panic_and_always_add_up() {
    let seed = number("LOGQ_SEED", 20_261_122);
    let mut random = Random(seed);
    let objects = objects();
    let limits = Limits {
        object_bytes_max: 4 << 20,
        record_bytes_max: 64 << 10,
        rejected_bytes_max: 1_024,
        batch_rows: 512,
    };
    for run in 0..number("LOGQ_MUTATIONS", 1_500) {
        let bytes = mutated(&objects, &mut random);
        // The equation, the schema and the size of batches are checked by reading.
        let outcome = std::panic::catch_unwind(|| {
            let (report, taken) = read_with("file:///data/object", &bytes, &limits, &mut Seen::default());
            let text = report.counts.inflated_bytes.max(bytes.len() as u64);
            assert!(report.counts.inflated_bytes <= limits.object_bytes_max + u64::from(u16::MAX));
            // A record has at least one byte; one whole-object row and one for a trailer may join.
            assert!(report.counts.records <= text + 2, "{report:?}");
            assert!(taken.rejected.iter().all(|one| one.raw.len() <= limits.rejected_bytes_max));
        });
        assert!(outcome.is_ok(), "run {run} of LOGQ_SEED={seed} with {} bytes", bytes.len());
    }
}

//! The same model for the source `file`: applications whose logs all begin with one header, rotated
//! as logrotate does (numbers or dates, rename or copytruncate, compress, delaycompress).

use super::*;
use crate::sources::file::FileSettings;

const HEADER: &str = "time,level,text";

/// Seeds by default: 250 steps each.
const SEEDS: u64 = 40;

/// One application, how it writes, and how its log is rotated.
struct App {
    name: &'static str,
    file: File,
    /// Rows since the file was opened or emptied.
    rows: u32,
    half: Option<Vec<u8>>,
    dateext: bool,
    copytruncate: bool,
    delaycompress: bool,
    rotations: u32,
}

struct Files {
    model: Model,
    dir: PathBuf,
    apps: Vec<App>,
    utf16: bool,
    max_open: usize,
}

fn open(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

impl Files {
    fn new(seed: u64, root: &Path) -> Self {
        let mut model = Model::new(seed, root);
        model.containers.clear();
        let dir = root.join("logs");
        fs::create_dir_all(&dir).unwrap();
        let count = model.rng.random_range(1..=3);
        // Two of them share a stem.
        let apps = ["app.log", "app.err.log", "other.log"][..count].iter().map(|name| App {
            name,
            file: open(&dir.join(name)),
            rows: 0,
            half: None,
            dateext: model.rng.random_bool(0.3),
            copytruncate: model.rng.random_bool(0.4),
            delaycompress: model.rng.random_bool(0.5),
            rotations: 0,
        });
        let apps = apps.collect();
        let utf16 = model.rng.random_bool(0.3);
        let max_open = if model.rng.random_bool(0.3) { 1 } else { 100 };
        Self { model, dir, apps, utf16, max_open }
    }

    fn start(&self) -> Collector {
        let text = format!(
            "include = [\"{}/*.log*\"]\nglob_minimum_cooldown = 0\nrotate_wait = 0\nmax_open_files = {}\n\
             max_read_bytes = 512\nmax_line_bytes = {MAX_LINE}\nencoding = \"{}\"",
            self.dir.display(),
            self.max_open,
            if self.utf16 { "utf-16le" } else { "utf-8" },
        );
        let settings: FileSettings = toml::from_str(&text).unwrap();
        Collector::with(&self.model.root, |wiring| settings.reader(wiring).unwrap())
    }

    fn encoded(&self, text: &str) -> Vec<u8> {
        if self.utf16 { text.encode_utf16().flat_map(u16::to_le_bytes).collect() } else { text.into() }
    }

    fn row(&mut self) -> Vec<u8> {
        self.model.next += 1;
        let long = self.model.rng.random_bool(0.03);
        let len = if long { 600 } else { self.model.rng.random_range(0..40) };
        let row = format!("{},info,{}", self.model.next, "é\"\\x".repeat(len));
        self.model.expected.push(row.clone());
        self.encoded(&format!("{row}\n"))
    }

    fn complete(&mut self, a: usize) -> bool {
        let half = self.apps[a].half.take();
        half.is_some_and(|rest| self.apps[a].file.write_all(&rest).is_ok())
    }

    fn write(&mut self, a: usize) {
        if self.complete(a) {
            return;
        }
        let mut text = Vec::new();
        if self.apps[a].rows == 0 {
            self.model.expected.push(HEADER.to_owned());
            text = self.encoded(&format!("{HEADER}\n"));
        }
        text.extend(self.row());
        let cut = if self.model.rng.random_bool(0.1) {
            self.model.rng.random_range(1..text.len())
        } else {
            text.len()
        };
        let app = &mut self.apps[a];
        app.file.write_all(&text[..cut]).unwrap();
        app.half = (cut < text.len()).then(|| text[cut..].to_vec());
        app.rows += 1;
    }

    /// Names of rotated files that are still there, newest first.
    fn rotated(&self, a: usize) -> Vec<String> {
        let app = &self.apps[a];
        let all = (1..=app.rotations).flat_map(|n| {
            let name = match app.dateext {
                true => format!("{}-{}", app.name, 20_260_000 + app.rotations - n + 1),
                false => format!("{}.{n}", app.name),
            };
            [name.clone(), format!("{name}.gz")]
        });
        all.filter(|name| self.dir.join(name).exists()).collect()
    }

    fn rotate(&mut self, a: usize) {
        if self.apps[a].rows == 0 {
            return;
        }
        self.complete(a);
        if !self.apps[a].dateext {
            for name in self.rotated(a).iter().rev() {
                let (stem, ending) = name.strip_suffix(".gz").map_or((&name[..], ""), |stem| (stem, ".gz"));
                let (stem, number) = stem.rsplit_once('.').unwrap();
                let next = format!("{stem}.{}{ending}", number.parse::<u32>().unwrap() + 1);
                fs::rename(self.dir.join(name), self.dir.join(next)).unwrap();
            }
        }
        let app = &mut self.apps[a];
        app.rotations += 1;
        app.rows = 0;
        let to = match app.dateext {
            true => format!("{}-{}", app.name, 20_260_000 + app.rotations),
            false => format!("{}.1", app.name),
        };
        let (from, to) = (self.dir.join(app.name), self.dir.join(to));
        if app.copytruncate {
            fs::copy(&from, &to).unwrap();
            app.file.set_len(0).unwrap();
        } else {
            fs::rename(&from, &to).unwrap();
            app.file = open(&from);
        }
        // It may have grown past its old size before anybody looks.
        (0..self.model.rng.random_range(0..8)).for_each(|_| self.write(a));
    }

    /// Packs the oldest rotated file that is not yet.
    fn compress(&mut self, a: usize) {
        let plain: Vec<String> = self.rotated(a).into_iter().filter(|name| !name.ends_with(".gz")).collect();
        let Some(name) = plain.get(usize::from(self.apps[a].delaycompress)..).and_then(<[String]>::last)
        else {
            return;
        };
        let path = self.dir.join(name);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&fs::read(&path).unwrap()).unwrap();
        fs::write(self.dir.join(format!("{name}.gz")), packed.finish().unwrap()).unwrap();
        fs::remove_file(&path).unwrap();
    }

    /// An application that has not heard of the rotation yet.
    fn write_late(&mut self, a: usize) {
        let Some(name) = self.rotated(a).into_iter().next().filter(|name| !name.ends_with(".gz")) else {
            return;
        };
        if !self.apps[a].copytruncate {
            let row = self.row();
            open(&self.dir.join(name)).write_all(&row).unwrap();
        }
    }
}

fn run(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Files::new(seed, dir.path());
    let mut collector = files.start();
    for _ in 0..STEPS {
        let a = files.model.rng.random_range(0..files.apps.len());
        match files.model.rng.random_range(0..100) {
            0..48 => files.write(a),
            48..64 => collector.turn(),
            64..70 => collector.reader.flush(),
            70..78 => collector.pump(1),
            78..82 => collector.writer.seal().unwrap(),
            82..85 => {
                let acknowledge = files.model.rng.random_bool(0.7);
                files.model.deliver(&collector, acknowledge);
            }
            85..90 => files.rotate(a),
            90..93 => files.compress(a),
            93..95 => files.write_late(a),
            95..97 => collector.settle(),
            _ => {
                drop(collector);
                files.model.damage();
                collector = files.start();
            }
        }
    }
    for a in 0..files.apps.len() {
        files.complete(a);
        files.write(a);
        files.complete(a);
    }
    collector.settle();
    collector.writer.seal().unwrap();
    files.model.deliver(&collector, true);
    files.model.check(seed);
    assert!(collector.spool.is_drained());
}

#[test]
fn g1_g2_files_of_applications_survive_whatever_logrotate_does() {
    for seed in seeds(SEEDS) {
        println!("seed {seed}");
        run(seed);
    }
}

//! Container logs as containerd and kubelet leave them on a node:
//! `<pods>/<namespace>_<pod>_<uid>/<container>/<restart>.log`.
//!
//! [`Lines`] says what the containers print; [`PodsWriter`] puts it on disk the way the runtime
//! does: `<time> <stdout|stderr> <P|F> <text>`, records above 16 KiB in pieces, standard streams
//! interleaved, bytes passed through as they are, rotation by rename.

pub mod apps;
pub mod writer;

use super::{Plan, Random};
pub use writer::{PodsWriter, WriteError};

/// A container that writes a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// Pod UID.
    pub uid: String,
    /// Container name.
    pub name: String,
    /// Restart count.
    pub restart: u32,
    /// What kind of lines it prints.
    pub app: apps::App,
}

impl Container {
    /// Directory below the pods directory.
    pub fn directory(&self) -> String {
        format!("{}_{}_{}/{}", self.namespace, self.pod, self.uid, self.name)
    }
}

/// Standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stdio {
    /// As the runtime writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Stdio::Out => "stdout",
            Stdio::Err => "stderr",
        }
    }
}

/// One record: what a container printed as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Index of the container.
    pub container: usize,
    /// When, Unix nanoseconds. A live writer replaces it by the clock.
    pub nanosecond: i64,
    /// Where to.
    pub stdio: Stdio,
    /// The bytes, without a newline.
    pub body: Vec<u8>,
}

/// The containers of `seed`.
pub fn containers(seed: u64) -> Vec<Container> {
    let mut random = Random::new(seed, "containers");
    let mut containers = Vec::new();
    for &(namespace, name, app, replicas) in apps::DEPLOYMENTS {
        let set = random.hex(10);
        for _ in 0..replicas {
            containers.push(Container {
                namespace: namespace.to_owned(),
                pod: format!("{name}-{set}-{}", random.alphanumeric(5)),
                uid: random.uuid(),
                name: name.to_owned(),
                restart: 0,
                app,
            });
        }
    }
    containers
}

/// Iterator over the records of all containers in time order.
#[derive(Debug)]
pub struct Lines {
    plan: Plan,
    containers: Vec<Container>,
    random: Random,
    made: u64,
    /// Lines that follow one another without a pause (a stack trace).
    pending: std::collections::VecDeque<Line>,
}

impl Lines {
    /// Records of `plan`.
    pub fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            containers: containers(plan.seed),
            random: Random::new(plan.seed, "lines"),
            made: 0,
            pending: std::collections::VecDeque::new(),
        }
    }

    /// The containers that print.
    pub fn containers(&self) -> &[Container] {
        &self.containers
    }

    fn print(&mut self) {
        let random = &mut self.random;
        let container = random.weighted(self.containers.iter().map(|c| c.app.weight()));
        // Evenly spread with a little jitter, so that time never runs backwards between records.
        let step = self.plan.seconds() as f64 * 1e9 / self.plan.lines.max(1) as f64;
        let offset = step * (self.made as f64 + random.unit() * 0.5);
        let nanosecond = self.plan.start * 1_000_000_000 + offset as i64;
        let app = self.containers[container].app;
        for (number, (stdio, body)) in app.print(random, nanosecond, self.made).into_iter().enumerate() {
            let nanosecond = nanosecond + number as i64 * 1_200;
            self.pending.push_back(Line { container, nanosecond, stdio, body });
        }
    }
}

impl Iterator for Lines {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        if self.made >= self.plan.lines {
            return None;
        }
        if self.pending.is_empty() {
            self.print();
        }
        self.made += 1;
        self.pending.pop_front()
    }
}

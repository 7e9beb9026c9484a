//! Random schedules: some processors, some messages, a store that fails and processes that die. When
//! the dust has settled, every record is in its table once.
//!
//! `LOGQ_SCHEDULES` sets how many are run, `LOGQ_SEED` where they start. docs/reliability.md says what
//! the model covers.

use super::faulty::{Life, Plan, Random, Weather};
use super::world::{World, inputs};
use crate::discover::batches;
use crate::pipeline::{PipelineError, Processor};
use futures::future::join_all;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Schedules of an ordinary run.
const SCHEDULES: u64 = 500;

const HOUR: i64 = 3_600_000_000;

/// Nothing here waits for time: a schedule that takes this long hangs.
const HANGS: Duration = Duration::from_secs(120);

/// Errors of one worker after which it is clear that it will never get through: faults are bounded, and
/// so is what they cause.
const ERRORS_MAX: u64 = 300;

/// One notification of one or more objects.
type Message = Vec<usize>;

/// The queue of notifications. It delivers at least once.
struct Queue {
    visible: VecDeque<Message>,
    in_flight: BTreeMap<usize, Vec<Message>>,
    /// Deliveries more than one that are still allowed.
    repeats: u64,
}

impl Queue {
    fn new(random: &mut Random, objects: usize) -> Queue {
        let mut messages: Vec<Message> = Vec::new();
        for object in 0..objects {
            // S3 announces an object at least once, alone or with others.
            for _ in 0..random.pick(&[1, 1, 1, 2, 3]) {
                match messages.last_mut() {
                    Some(last) if last.len() < 3 && random.chance(40) => last.push(object),
                    _ => messages.push(vec![object]),
                }
            }
        }
        // In any order.
        for index in (1..messages.len()).rev() {
            messages.swap(index, usize::try_from(random.below(index as u64 + 1)).expect("an index"));
        }
        Queue { visible: messages.into(), in_flight: BTreeMap::new(), repeats: objects as u64 }
    }

    fn receive(&mut self, worker: usize, random: &mut Random) -> Vec<Message> {
        let most = usize::try_from(random.between(1, 4)).expect("a few");
        let received: Vec<Message> = self.visible.drain(..most.min(self.visible.len())).collect();
        for message in &received {
            // Its visibility ends before the worker is done: another gets it too.
            if self.repeats > 0 && random.chance(20) {
                self.repeats -= 1;
                self.visible.push_back(message.clone());
            }
        }
        self.in_flight.entry(worker).or_default().extend(received.iter().cloned());
        received
    }

    fn deleted(&mut self, worker: usize, random: &mut Random) {
        for message in self.in_flight.remove(&worker).unwrap_or_default() {
            // It comes again, as SQS may do and a backfill does.
            if self.repeats > 0 && random.chance(30) {
                self.repeats -= 1;
                self.visible.push_back(message);
            }
        }
    }

    fn returned(&mut self, worker: usize) {
        self.visible.extend(self.in_flight.remove(&worker).unwrap_or_default());
    }
}

struct Schedule {
    world: World,
    queue: RefCell<Queue>,
    shards: usize,
    objects_max: usize,
    errors: RefCell<Vec<String>>,
}

impl Schedule {
    async fn draw(seed: u64) -> (Schedule, Random) {
        let mut random = Random::new(seed);
        let count = random.between(1, 7);
        let inputs = inputs(&mut random, count);
        let plan = match random.below(10) {
            0 => Plan::Clean,
            1..=6 => Plan::Random { percent: random.between(1, 6), left: random.between(1, 6) },
            _ => Plan::Random { percent: random.between(5, 40), left: random.between(3, 25) },
        };
        let shards = random.pick(&[1, 1, 2, 2, 3]);
        let queue = Queue::new(&mut random, inputs.len());
        let weather = Weather::new(seed ^ 0x5eed, plan);
        let world = World::new(inputs, weather, random.chance(90)).await;
        let objects_max = usize::try_from(random.between(1, 5)).expect("a few");
        (
            Schedule { world, queue: RefCell::new(queue), shards, objects_max, errors: RefCell::default() },
            random,
        )
    }

    /// A clock that is right, wrong, or jumps.
    fn clock(random: &mut Random) -> impl Fn() -> i64 + Send + Sync + Clone + use<> {
        let skew = random.pick(&[0, 0, HOUR, -HOUR, 72 * HOUR, -72 * HOUR, 24 * 365 * HOUR]);
        let step = random.pick(&[1, 1, HOUR / 60, 13 * HOUR, -HOUR, -30 * HOUR]);
        let now = Arc::new(AtomicI64::new(skew));
        move || now.fetch_add(step, Ordering::Relaxed)
    }

    /// One worker: a process after another under the same shard name, until the queue is empty.
    async fn work(&self, worker: usize, mut random: Random) {
        let clock = Self::clock(&mut random);
        while !self.is_stuck() {
            let life = Arc::new(Life::default());
            tokio::select! {
                biased;
                () = life.ended() => self.queue.borrow_mut().returned(worker),
                done = self.live(worker, &life, &mut random, clock.clone()) => match done {
                    true => return,
                    false => self.queue.borrow_mut().returned(worker),
                },
            }
        }
    }

    fn note(&self, worker: usize, error: &dyn std::fmt::Debug) {
        self.errors.borrow_mut().push(format!("shard {worker}: {error:?}"));
    }

    fn is_stuck(&self) -> bool {
        self.errors.borrow().len() as u64 > ERRORS_MAX
    }

    /// One process. True when the queue is empty, false when it gave up after an error.
    async fn live(
        &self,
        worker: usize,
        life: &Arc<Life>,
        random: &mut Random,
        clock: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> bool {
        let mut processor = match self.world.open(&worker.to_string(), life, clock).await {
            Ok(processor) => processor,
            Err(error) => {
                self.note(worker, &error);
                return false;
            }
        };
        while !self.is_stuck() {
            let messages = self.queue.borrow_mut().receive(worker, random);
            if messages.is_empty() {
                return true;
            }
            let read = self.take(&mut processor, &messages).await.map_err(|error| self.note(worker, &error));
            match read {
                Ok(true) => self.queue.borrow_mut().deleted(worker, random),
                // Something could not be read: the messages come again.
                Ok(false) => self.queue.borrow_mut().returned(worker),
                Err(()) => {
                    self.queue.borrow_mut().returned(worker);
                    // Like `run`, which goes on even when the recovery fails; or the process ends.
                    if random.chance(30) {
                        return false;
                    }
                    if random.chance(70) {
                        drop(processor.recover().await);
                    }
                }
            }
        }
        true
    }

    async fn take(&self, processor: &mut Processor, messages: &[Message]) -> Result<bool, PipelineError> {
        let candidates = messages.iter().flatten().map(|&index| self.world.candidate(index)).collect();
        let mut read = true;
        for batch in batches(candidates, self.objects_max, u64::MAX) {
            let outcome = processor.take_in(batch).await?;
            read &= outcome.unreadable.is_empty();
        }
        Ok(read)
    }

    /// Nothing fails any more: every shard recovers, and every object is announced once again.
    /// Gives the last of them.
    async fn settle(&self) -> Result<Processor, String> {
        self.world.weather.clear_up().await;
        let mut last = None;
        for worker in 0..self.shards {
            let life = Arc::new(Life::default());
            let open = self.world.open(&worker.to_string(), &life, || 0).await;
            let mut processor = open.map_err(|error| format!("cannot open in the end: {error:?}"))?;
            let again = processor.take_in(self.world.candidates()).await;
            let again = again.map_err(|error| format!("cannot take in in the end: {error:?}"))?;
            if again.summary.objects > 0 || !again.unreadable.is_empty() {
                return Err(format!("objects were not in the lake after the queue was empty: {again:?}"));
            }
            last = Some(processor);
        }
        last.ok_or_else(|| "no shards".to_owned())
    }
}

/// Runs one schedule; gives the faults it had.
async fn run(seed: u64) -> Result<BTreeMap<&'static str, u64>, String> {
    let (schedule, mut random) = Schedule::draw(seed).await;
    let workers = (0..schedule.shards).map(|worker| {
        let own = Random::new(seed.wrapping_mul(31).wrapping_add(random.below(u64::MAX)));
        schedule.work(worker, own)
    });
    let work = tokio::time::timeout(HANGS, join_all(workers.collect::<Vec<_>>())).await;
    let told = |error: String| format!("{error}\n{}", schedule.world.weather.trace());
    work.map_err(|_| told("it hangs".to_owned()))?;
    if schedule.is_stuck() {
        let errors = schedule.errors.borrow();
        let last = errors.last().map(String::as_str).unwrap_or_default();
        return Err(told(format!("it never gets through: {last}")));
    }
    let last = schedule.settle().await.map_err(told)?;
    schedule.world.check(&last, schedule.shards == 1).await.map_err(told)?;
    Ok(schedule.world.weather.seen())
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Runs `work` for the numbers `0..count` on all cores and gives the failures in order.
pub(super) fn on_all_cores(
    count: u64,
    work: impl Fn(&tokio::runtime::Runtime, u64) -> Result<(), String> + Sync,
) -> Vec<String> {
    let next = AtomicU64::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failures: Vec<(u64, String)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let runtime = runtime.expect("a runtime");
                    let mut failures = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count || failures.len() > 3 {
                            return failures;
                        }
                        failures.extend(work(&runtime, number).err().map(|error| (number, error)));
                    }
                })
            })
            .collect();
        handles.into_iter().flat_map(|handle| handle.join().expect("no panic")).collect()
    });
    failures.sort();
    failures.into_iter().map(|(_, error)| error).collect()
}

#[test]
fn g3_g10_random_schedules_of_kills_faults_and_redeliveries_leave_every_record_once() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let first = setting("LOGQ_SEED").unwrap_or_else(|| u64::from(now.subsec_nanos()) << 20 ^ now.as_secs());
    let count = setting("LOGQ_SCHEDULES").unwrap_or(SCHEDULES);
    println!("schedules: seeds {first} to {} (LOGQ_SEED, LOGQ_SCHEDULES)", first + count - 1);
    let faults = std::sync::Mutex::new(BTreeMap::<&str, u64>::new());
    let failures = on_all_cores(count, |runtime, number| {
        let seed = first + number;
        let seen = runtime.block_on(run(seed)).map_err(|error| {
            format!("seed {seed}: {error}\nrepeat with LOGQ_SEED={seed} LOGQ_SCHEDULES=1 cargo test -p logq-processor --lib random_schedules")
        })?;
        let mut faults = faults.lock().expect("no panic");
        seen.into_iter().for_each(|(name, times)| *faults.entry(name).or_default() += times);
        Ok(())
    });
    let faults = faults.into_inner().expect("no panic");
    println!("schedules: {count} run, faults {faults:?}");
    assert!(failures.is_empty(), "{} schedules failed:\n{}", failures.len(), failures.join("\n\n"));
    assert!(count < 100 || faults.len() == 6, "some kinds of faults never came: {faults:?}");
}

//! CloudTrail objects as an organization trail delivers them: one `.json.gz` per account, Region
//! and five minutes, `{"Records":[…]}` on one line, records in no particular order.

pub mod catalogue;
pub mod event;
pub mod identity;

use super::{Estate, Label, Object, Plan, Random, attacks, gzip, stamp};
use catalogue::Who;
pub use event::Event;

/// Seconds covered by one object.
pub const DELIVERY: i64 = 300;

/// Records in one object at most; CloudTrail splits busier intervals.
const OBJECT_RECORDS_MAX: usize = 5_000;

/// Iterator over delivered objects, oldest first.
#[derive(Debug)]
pub struct Objects {
    plan: Plan,
    estate: Estate,
    planted: std::iter::Peekable<std::vec::IntoIter<Event>>,
    random: Random,
    second: i64,
    made: u64,
    /// Finished objects of the current interval.
    ready: std::collections::VecDeque<Object>,
}

impl Objects {
    /// Objects of `plan`, together with the labels of the attacks planted in them.
    pub fn new(plan: &Plan) -> (Self, Vec<Label>) {
        let estate = Estate::new(plan.seed, plan.architecture);
        let (planted, labels) = attacks::account::plant(plan, &estate);
        let objects = Self {
            plan: plan.clone(),
            estate,
            planted: planted.into_iter().peekable(),
            random: Random::new(plan.seed, "cloudtrail"),
            second: 0,
            made: 0,
            ready: std::collections::VecDeque::new(),
        };
        (objects, labels)
    }

    fn interval(&mut self) -> std::io::Result<()> {
        let (from, to) = (self.second, (self.second + DELIVERY).min(self.plan.seconds()));
        self.second = to;
        let due = self.plan.share_until(self.plan.cloudtrail, to);
        let at = self.plan.start + from;
        let mut events = Vec::new();
        while self.planted.peek().is_some_and(|event| event.second < self.plan.start + to) {
            events.extend(self.planted.next());
            self.made += 1;
        }
        while self.made < due {
            let second = at + self.random.below((to - from).max(1) as u64) as i64;
            events.push(benign(&self.estate, &mut self.random, second));
            self.made += 1;
        }
        for account in 0..self.estate.accounts.len() {
            let mut mine: Vec<&Event> = events.iter().filter(|event| event.account == account).collect();
            // Global services are delivered in us-east-1, everything else in the home Region.
            mine.sort_by_key(|event| (event.region, std::cmp::Reverse(event.order)));
            for region in mine.chunk_by(|one, two| one.region == two.region) {
                for part in region.chunks(OBJECT_RECORDS_MAX) {
                    let object = self.object(account, part, self.plan.start + to)?;
                    self.ready.push_back(object);
                }
            }
        }
        Ok(())
    }

    fn object(&mut self, account: usize, events: &[&Event], at: i64) -> std::io::Result<Object> {
        let account = &self.estate.accounts[account].id;
        let region = events[0].region;
        let mut text = String::with_capacity(events.len() * 1_300 + 32);
        text.push_str("{\"Records\":[");
        for (index, event) in events.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            event.write(&mut text, account);
        }
        text.push_str("]}");
        let suffix: String = self
            .random
            .alphanumeric(16)
            .chars()
            .map(|c| if c.is_ascii_lowercase() && c > 'm' { c.to_ascii_uppercase() } else { c })
            .collect();
        let key = format!(
            "AWSLogs/{}/{account}/CloudTrail/{region}/{}/{account}_CloudTrail_{region}_{}_{suffix}.json.gz",
            self.estate.organization,
            stamp::key_date(at),
            stamp::key_minute(at),
        );
        Ok(Object {
            key,
            bytes: gzip(text.as_bytes())?,
            records: events.len() as u64,
            skipped: 0,
            inflated_bytes: text.len() as u64,
        })
    }
}

impl Iterator for Objects {
    type Item = std::io::Result<Object>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            if self.plan.cloudtrail == 0 || self.second >= self.plan.seconds() {
                return None;
            }
            if let Err(error) = self.interval() {
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// One benign event.
fn benign(estate: &Estate, random: &mut Random, second: i64) -> Event {
    let account = random.weighted(estate.accounts.iter().map(|account| account.weight));
    let operation = &catalogue::OPERATIONS[random.weighted(catalogue::OPERATIONS.iter().map(|o| o.weight))];
    let identity = match operation.who {
        Who::Node => identity::node(estate, random, account, second),
        Who::Workload => identity::workload(estate, random, account, second),
        Who::WebIdentity => identity::web_identity(random),
        Who::Pipeline => identity::pipeline(estate, random, account, second),
        Who::Person => identity::person(estate, random, account, second),
        Who::Automation => identity::automation(estate, random, account),
        Who::Service => identity::service(random, operation.source),
        Who::ServiceRole => identity::service_role(estate, random, account, second),
        Who::SignIn => identity::sign_in(estate, random, account),
    };
    event::from_operation(estate, random, operation, identity, account, second)
}

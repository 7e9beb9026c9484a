//! The loop over sections and groups.

use super::groups::matching;
use super::position::{Position, Positions};
use super::render::{Event, hash_id, object};
use super::requests::{RequestError, Requests};
use super::settings::Settings;
use super::window::{Reading, Window};
use crate::metrics::Metrics;
use crate::storage::{Candidate, Lake, Place, StorageError};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An object ends at this many bytes of messages: a page is at most one MiB, so memory holds little more.
const OBJECT_BYTES: usize = 8 << 20;

/// How often the groups of a section are listed anew.
const LIST_INTERVAL: Duration = Duration::from_secs(300);

/// Most ids held for one group: 64 MB. Past it the oldest are forgotten, and an event that comes again is
/// recognised by its record's identity alone.
const IDS_MAX: usize = 4_000_000;

/// Why a group was not read on.
#[derive(Debug, Error)]
enum PullError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("events of {group} cannot be written as an object")]
    Render { group: String, source: std::io::Error },
}

/// Ids of events in the windows that may be read again.
#[derive(Debug, Default)]
struct Known {
    ids: HashSet<u128>,
    windows: VecDeque<(i64, Vec<u128>)>,
}

impl Known {
    fn add(&mut self, to: i64, ids: Vec<u128>) {
        self.ids.extend(&ids);
        self.windows.push_back((to, ids));
        while self.ids.len() > IDS_MAX && self.windows.len() > 1 {
            self.drop_oldest();
        }
    }

    fn forget_before(&mut self, edge: i64) {
        while self.windows.front().is_some_and(|(to, _)| *to < edge) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        for id in self.windows.pop_front().map(|(_, ids)| ids).unwrap_or_default() {
            self.ids.remove(&id);
        }
    }
}

/// One object and its position, as they lie in the lake.
#[derive(Debug)]
struct Kept {
    number: u64,
    object: Option<String>,
    to: i64,
    /// Its records are in the lake's tables.
    taken: bool,
}

/// How far a group was read.
#[derive(Debug)]
struct Progress {
    reading: Reading,
    /// What the newest position says.
    stored: Reading,
    pending: Option<(Window, String)>,
    next: u64,
    known: Known,
    kept: VecDeque<Kept>,
}

/// One group.
#[derive(Debug)]
struct Group {
    name: String,
    retention_days: Option<i32>,
    positions: Positions,
    progress: Option<Progress>,
    due: Instant,
    /// Objects to hand out.
    waiting: Vec<(u64, Candidate)>,
    /// Objects handed out, of which it is not known yet whether they were taken in.
    handed: Vec<(u64, Candidate)>,
}

#[derive(Debug)]
struct Section {
    settings: Settings,
    requests: Requests,
    groups: Vec<Group>,
    listed: Option<Instant>,
}

/// All configured groups.
#[derive(Debug)]
pub struct Pull {
    lake: Lake,
    metrics: Arc<Metrics>,
    sections: Vec<Section>,
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 8)
}

impl Pull {
    /// Connects; nothing is asked for yet.
    pub async fn open(lake: &Lake, settings: &[Settings], metrics: Arc<Metrics>) -> Pull {
        let mut sections = Vec::with_capacity(settings.len());
        for settings in settings {
            let requests = Requests::open(settings).await;
            sections.push(Section { settings: settings.clone(), requests, groups: Vec::new(), listed: None });
        }
        Pull { lake: lake.clone(), metrics, sections }
    }

    /// Reads groups that are due and gives the objects this made, gathered for `interval` from the first
    /// one on. Returns nothing when `stop` is cancelled or `patience` passes without a new event.
    pub async fn gather(
        &mut self,
        interval: Duration,
        patience: Option<Duration>,
        stop: &CancellationToken,
    ) -> Vec<Candidate> {
        let started = Instant::now();
        let mut end = None;
        let mut found = Vec::new();
        loop {
            let turns = self.sections.iter_mut().map(|section| section.turn(&self.lake, &self.metrics, stop));
            found.extend(futures::future::join_all(turns).await.into_iter().flatten());
            self.metrics.set_pull_lag(self.lag());
            if !found.is_empty() {
                end.get_or_insert_with(|| Instant::now() + interval);
            }
            let late = end.is_some_and(|end| Instant::now() >= end);
            let idle = found.is_empty() && patience.is_some_and(|patience| started.elapsed() >= patience);
            if late || idle || stop.is_cancelled() {
                return found;
            }
            let next = self.groups().map(|group| group.due).min();
            let next = next.unwrap_or_else(|| Instant::now() + LIST_INTERVAL.min(interval));
            let limit = end.or(patience.map(|patience| started + patience));
            tokio::select! {
                () = tokio::time::sleep_until(limit.map_or(next, |limit| limit.min(next))) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Seconds up to which the group furthest behind is yet to be read.
    fn lag(&self) -> i64 {
        let marks = self.groups().filter_map(|group| group.progress.as_ref()).map(|one| one.reading.mark);
        marks.min().map_or(0, |mark| (now_ms() - mark).max(0) / 1_000)
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        self.sections.iter().flat_map(|section| &section.groups)
    }

    fn groups_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.sections.iter_mut().flat_map(|section| &mut section.groups)
    }

    /// What was handed out is in the lake, but for `unreadable`, which is handed out again.
    pub fn taken(&mut self, unreadable: &[Place]) {
        let unreadable: HashSet<String> = unreadable.iter().map(Place::location).collect();
        for group in self.groups_mut() {
            for (number, candidate) in std::mem::take(&mut group.handed) {
                if unreadable.contains(&candidate.place.location()) {
                    group.waiting.push((number, candidate));
                } else if let Some(progress) = &mut group.progress {
                    progress
                        .kept
                        .iter_mut()
                        .filter(|kept| kept.number == number)
                        .for_each(|kept| kept.taken = true);
                }
            }
        }
    }

    /// The batch failed: everything is handed out again, and the ledger knows what was done.
    pub fn again(&mut self) {
        for group in self.groups_mut() {
            let handed = std::mem::take(&mut group.handed);
            group.waiting.extend(handed);
        }
    }

    /// Removes objects that were taken in and whose events cannot come again. A failure is logged: it is
    /// done the next time.
    pub async fn clean(&mut self) {
        for section in &mut self.sections {
            let overlap = millis(section.settings.overlap);
            for group in &mut section.groups {
                if let Err(error) = group.clean(overlap).await {
                    tracing::warn!(error = crate::causes::describe(&error), "cannot remove a pulled object");
                }
            }
        }
    }
}

impl Section {
    /// Reads every group that is due; gives the objects to take in.
    async fn turn(&mut self, lake: &Lake, metrics: &Metrics, stop: &CancellationToken) -> Vec<Candidate> {
        tokio::select! {
            () = self.list_groups(lake) => {}
            () = stop.cancelled() => {}
        }
        let mut found = Vec::new();
        for group in &mut self.groups {
            if group.due <= Instant::now() && !stop.is_cancelled() {
                group.turn(&self.settings, &self.requests, metrics, stop).await;
            }
            found.extend(group.hand_out());
        }
        found
    }

    async fn list_groups(&mut self, lake: &Lake) {
        if self.listed.is_some_and(|listed| listed.elapsed() < LIST_INTERVAL) {
            return;
        }
        let section = self.settings.name.as_str();
        self.listed = Some(Instant::now());
        let (found, without) = match matching(&self.requests, &self.settings.groups).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(section, %error, "log groups cannot be listed, it is tried again");
                return;
            }
        };
        for pattern in without {
            tracing::warn!(section, pattern, "no log group of this name");
        }
        for one in found {
            match self.groups.iter_mut().find(|group| group.name == one.name) {
                Some(group) => group.retention_days = one.retention_days,
                None => self.groups.push(Group {
                    positions: Positions::of(lake, section, &one.name),
                    name: one.name,
                    retention_days: one.retention_days,
                    progress: None,
                    due: Instant::now(),
                    waiting: Vec::new(),
                    handed: Vec::new(),
                }),
            }
        }
    }
}

impl Group {
    fn hand_out(&mut self) -> Vec<Candidate> {
        let waiting = std::mem::take(&mut self.waiting);
        let candidates = waiting.iter().map(|(_, candidate)| candidate.clone()).collect();
        self.handed.extend(waiting);
        candidates
    }

    /// Reads on, and decides when to read again. An error is logged and waits for the next turn.
    async fn turn(
        &mut self,
        settings: &Settings,
        requests: &Requests,
        metrics: &Metrics,
        stop: &CancellationToken,
    ) {
        if let Err(error) = self.read_on(settings, requests, metrics, stop).await {
            tracing::error!(
                group = self.name,
                error = crate::causes::describe(&error),
                "log group cannot be read, it is tried again"
            );
            self.due = Instant::now() + settings.poll_interval;
            return;
        }
        let current = self.progress.as_ref().is_none_or(|progress| {
            progress.pending.is_none()
                && progress.reading.is_current(now_ms(), millis(settings.poll_interval).max(1))
        });
        self.due = Instant::now() + if current { settings.poll_interval } else { Duration::ZERO };
    }

    /// Takes up where the newest position left off.
    async fn resume(&mut self, settings: &Settings) -> Result<(), PullError> {
        let (positions, mut objects) = self.positions.load().await?;
        let begin = Reading::begin(now_ms() - millis(settings.start));
        let newest = positions.last();
        let overlap = millis(settings.overlap);
        let reading = newest.map_or(begin, |position| position.reading.resumed(overlap));
        let mut progress = Progress {
            reading,
            stored: reading,
            pending: newest.and_then(|position| position.pending.clone()),
            next: newest.map_or(0, |position| position.number + 1),
            known: Known::default(),
            kept: VecDeque::new(),
        };
        self.waiting.clear();
        self.handed.clear();
        for position in positions {
            progress.known.add(position.to, position.ids.iter().map(|id| hash_id(id)).collect());
            if let Some(candidate) = position.object.as_ref().and_then(|name| objects.remove(name)) {
                self.waiting.push((position.number, candidate));
            }
            progress.kept.push_back(Kept {
                number: position.number,
                taken: position.object.is_none(),
                object: position.object,
                to: position.to,
            });
        }
        if let Some(days) = self.retention_days {
            let edge = now_ms() - i64::from(days) * 86_400_000;
            if progress.reading.mark < edge && !progress.kept.is_empty() {
                tracing::error!(
                    group = self.name,
                    read_up_to = progress.reading.mark,
                    kept_from = edge,
                    "events have expired before they were read: the group's retention is shorter than this was down"
                );
            }
        }
        self.progress = Some(progress);
        Ok(())
    }

    async fn read_on(
        &mut self,
        settings: &Settings,
        requests: &Requests,
        metrics: &Metrics,
        stop: &CancellationToken,
    ) -> Result<(), PullError> {
        if self.progress.is_none() {
            self.resume(settings).await?;
        }
        let Some(progress) = self.progress.as_mut() else { return Ok(()) };
        let overlap = millis(settings.overlap);
        let (window, token) = match progress.pending.take() {
            Some((window, token)) => (window, Some(token)),
            None => (progress.reading.next(now_ms(), overlap), None),
        };
        let read = read_window(&self.name, window, token.clone(), requests, &progress.known, stop).await;
        let (events, rest, repeats) = match read {
            Ok(read) => read,
            Err(error) => {
                progress.pending = token.map(|token| (window, token));
                return Err(error.into());
            }
        };
        metrics.add_pulled(events.len() as u64, repeats);
        let reading = if rest.is_none() { progress.reading.after(window) } else { progress.reading };
        progress.pending = rest.map(|token| (window, token));
        // A position costs a request: without new events one each half overlap keeps a restart short.
        let worth_storing = !events.is_empty() || reading.mark - progress.stored.mark >= overlap / 2;
        progress.reading = reading;
        if worth_storing {
            self.store(settings, window, events).await?;
        }
        if let Some(progress) = self.progress.as_mut() {
            progress.known.forget_before(progress.stored.forget_before(overlap));
        }
        Ok(())
    }

    /// Writes the object, then the position that makes it count.
    async fn store(
        &mut self,
        settings: &Settings,
        window: Window,
        events: Vec<Event>,
    ) -> Result<(), PullError> {
        let Some(progress) = self.progress.as_mut() else { return Ok(()) };
        let number = progress.next;
        let mut object_name = None;
        let mut candidate = None;
        if !events.is_empty() {
            let failed = |source| PullError::Render { group: self.name.clone(), source };
            let (bytes, ending) = object(settings, &self.name, &events).map_err(failed)?;
            let (name, found) = match self.positions.put_object(number, bytes, ending).await {
                Ok(stored) => stored,
                Err(error) => {
                    // What was read is in no object: read it again from what is stored.
                    self.progress = None;
                    return Err(error.into());
                }
            };
            object_name = Some(name);
            candidate = Some(found);
        }
        let position = Position {
            number,
            group: self.name.clone(),
            object: object_name,
            reading: progress.reading,
            pending: progress.pending.clone(),
            to: window.to,
            ids: events.iter().map(|event| event.id.clone()).collect(),
        };
        match self.positions.create(&position).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(
                    group = self.name,
                    "another processor reads this group too: give each group to one"
                );
                self.progress = None;
                return Ok(());
            }
            Err(error) => {
                self.progress = None;
                return Err(error.into());
            }
        }
        progress.known.add(window.to, events.iter().map(Event::hash).collect());
        progress.stored = progress.reading;
        progress.next += 1;
        progress.kept.push_back(Kept {
            number,
            taken: position.object.is_none(),
            object: position.object,
            to: window.to,
        });
        self.waiting.extend(candidate.map(|candidate| (number, candidate)));
        Ok(())
    }

    async fn clean(&mut self, overlap: i64) -> Result<(), StorageError> {
        let Some(progress) = self.progress.as_mut() else { return Ok(()) };
        let edge = progress.stored.forget_before(overlap);
        while progress.kept.len() > 1 {
            let Some(oldest) = progress.kept.front().filter(|oldest| oldest.taken && oldest.to < edge) else {
                break;
            };
            self.positions.remove(oldest.number, oldest.object.as_deref()).await?;
            progress.kept.pop_front();
        }
        Ok(())
    }
}

/// Reads pages until the window or an object's worth of events is over. Gives the new events, the token to
/// go on with, and how many came again.
async fn read_window(
    group: &str,
    window: Window,
    mut token: Option<String>,
    requests: &Requests,
    known: &Known,
    stop: &CancellationToken,
) -> Result<(Vec<Event>, Option<String>, u64), RequestError> {
    let mut events: Vec<Event> = Vec::new();
    let mut here: HashSet<u128> = HashSet::new();
    let (mut bytes, mut repeats) = (0, 0);
    loop {
        let page = tokio::select! {
            page = requests.page(group, window, token.clone()) => page,
            // Without a token this window was not begun: nothing of it may be kept as done.
            () = stop.cancelled() => return Ok((events, Some(token.unwrap_or_default()), repeats)),
        };
        let page = match page {
            Ok(page) => page,
            Err(RequestError::Token { .. }) => {
                tracing::info!(group, "the token has expired, the window is read again");
                token = None;
                continue;
            }
            Err(error) => return Err(error),
        };
        for event in page.events {
            let hash = event.hash();
            if known.ids.contains(&hash) || !here.insert(hash) {
                repeats += 1;
                continue;
            }
            bytes += event.message.len();
            events.push(event);
        }
        match page.token {
            None => return Ok((events, None, repeats)),
            Some(next) if bytes >= OBJECT_BYTES => return Ok((events, Some(next), repeats)),
            Some(next) => token = Some(next),
        }
    }
}

//! Prefixes and directories of any size, page by page, in the order of their keys.
//!
//! Memory is bounded by a page a level. With days asked for, folders are looked into level by level and
//! those of other days are not listed; without, everything is listed flat. The order is the order of the
//! keys, so a walk that was interrupted goes on behind the last key that was worked off.
//!
//! Archived objects are reported with their class: they cannot be read, and are not.

use super::choice::{Choice, Verdict};
use super::days::Share;
use crate::lifecycle::class::Class;
use crate::storage::{Candidate, Place, StorageError};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::Object;
use std::path::{Path, PathBuf};
use thiserror::Error;

mod directory;

/// Objects handed on together.
pub const PAGE: usize = 1_000;

/// Why a walk stopped.
#[derive(Debug, Error)]
pub enum WalkError {
    /// S3 would not list.
    #[error("cannot list {location}: {reason}")]
    List {
        /// What was listed.
        location: String,
        /// S3's answer.
        reason: String,
    },
    /// A directory cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// An object that was listed and is wanted.
#[derive(Debug, Clone)]
pub struct Found {
    /// The object.
    pub candidate: Candidate,
    /// Where it stands in the walk: a later walk can go on behind it.
    pub key: String,
    /// Its class, when it must be restored before it can be read.
    pub offline: Option<Class>,
    /// Days were asked for and its key shows none.
    pub undated: bool,
}

enum Entry {
    Object(Box<Found>),
    Folder(String),
    Page(Page),
}

/// A page that is yet to be listed.
struct Page {
    prefix: String,
    /// Everything below it, without looking at levels.
    flat: bool,
    token: Option<String>,
}

/// A walk over one prefix or directory.
pub struct Walk {
    source: Source,
}

enum Source {
    Bucket(Levels),
    Directory(directory::Files),
}

/// A prefix of a bucket: what is yet to be looked at lies on a stack, the next key on top.
struct Levels {
    client: Client,
    bucket: String,
    root: String,
    /// What was named, as long as it may be the key of a single object.
    named: String,
    listed: u64,
    stack: Vec<Entry>,
    choice: Choice,
    after: Option<String>,
}

impl Walk {
    /// Starts at `location`, behind the key `after` when given. `exclude` is a directory that is not
    /// looked into: the lake.
    pub fn new(
        client: &Client,
        location: &str,
        choice: Choice,
        after: Option<String>,
        exclude: Option<PathBuf>,
    ) -> Walk {
        let source = match Place::from_location(location) {
            Place::Bucket { bucket, key } => Source::Bucket(Levels::new(client, bucket, &key, choice, after)),
            Place::File(path) => {
                Source::Directory(directory::Files::new(&path, exclude, after.as_deref(), &choice))
            }
        };
        Walk { source }
    }

    /// The next wanted objects; none at the end.
    ///
    /// # Errors
    /// When something cannot be listed. After [`WalkError::Storage`] the walk can go on.
    pub async fn next(&mut self) -> Result<Option<Vec<Found>>, WalkError> {
        match &mut self.source {
            Source::Bucket(levels) => levels.next().await,
            Source::Directory(files) => Ok(files.next().await?),
        }
    }
}

impl Levels {
    fn new(client: &Client, bucket: String, key: &str, choice: Choice, after: Option<String>) -> Levels {
        let named = key.trim_end_matches('/').to_owned();
        let root = if named.is_empty() { String::new() } else { format!("{named}/") };
        // With patterns alone there is nothing to gain from levels.
        let flat = !choice.days.is_limited() || choice.share(&root) == Share::All;
        let stack = vec![Entry::Page(Page { prefix: root.clone(), flat, token: None })];
        let named = if key.ends_with('/') { String::new() } else { named };
        Levels { client: client.clone(), bucket, root, named, listed: 0, stack, choice, after }
    }

    async fn next(&mut self) -> Result<Option<Vec<Found>>, WalkError> {
        let mut found: Vec<Found> = Vec::new();
        loop {
            match self.stack.pop() {
                Some(Entry::Object(object)) => {
                    found.push(*object);
                    if found.len() >= PAGE {
                        return Ok(Some(found));
                    }
                }
                Some(Entry::Folder(prefix)) => {
                    let share = self.choice.share(&prefix);
                    if share != Share::Nothing {
                        let flat = share == Share::All;
                        self.stack.push(Entry::Page(Page { prefix, flat, token: None }));
                    }
                }
                Some(Entry::Page(page)) => self.list(page).await?,
                None if self.listed == 0 && !self.named.is_empty() => self.single().await?,
                None => return Ok((!found.is_empty()).then_some(found)),
            }
        }
    }

    async fn request(&self, page: &Page) -> Result<ListObjectsV2Output, WalkError> {
        let mut request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&page.prefix);
        if !page.flat {
            request = request.delimiter("/");
        }
        request = match &page.token {
            Some(token) => request.continuation_token(token),
            None => request.set_start_after(self.after.clone().filter(|_| page.flat)),
        };
        request.send().await.map_err(|error| WalkError::List {
            location: format!("s3://{}/{}", self.bucket, page.prefix),
            reason: DisplayErrorContext(error).to_string(),
        })
    }

    /// Lists one page and puts what it holds on the stack, the first key on top.
    async fn list(&mut self, page: Page) -> Result<(), WalkError> {
        let listing = self.request(&page).await?;
        let after = self.after.as_deref();
        let mut entries: Vec<Entry> = Vec::new();
        for object in listing.contents() {
            self.listed += 1;
            let passed = after.is_some_and(|after| object.key().unwrap_or_default() <= after);
            entries.extend(self.wanted(object).filter(|_| !passed));
        }
        for folder in listing.common_prefixes().iter().filter_map(|one| one.prefix()) {
            self.listed += 1;
            let passed = after.is_some_and(|after| folder < after && !after.starts_with(folder));
            if !passed {
                entries.push(Entry::Folder(folder.to_owned()));
            }
        }
        if let Some(token) =
            listing.next_continuation_token().filter(|_| listing.is_truncated() == Some(true))
        {
            self.stack.push(Entry::Page(Page { token: Some(token.to_owned()), ..page }));
        }
        entries.sort_by(|one, other| name(other).cmp(name(one)));
        self.stack.extend(entries);
        Ok(())
    }

    /// Nothing lies below what was named: it may be the key of a single object.
    async fn single(&mut self) -> Result<(), WalkError> {
        let prefix = std::mem::take(&mut self.named);
        let listing = self.request(&Page { prefix: prefix.clone(), flat: true, token: None }).await?;
        let object = listing.contents().iter().find(|object| object.key() == Some(prefix.as_str()));
        self.stack.extend(object.and_then(|object| self.wanted(object)));
        Ok(())
    }

    fn wanted(&self, object: &Object) -> Option<Entry> {
        let key = object.key().unwrap_or_default();
        let below = key.strip_prefix(self.root.as_str()).unwrap_or(key);
        let verdict = self.choice.takes(key, below);
        // A key that ends in a slash is a folder somebody made in the console.
        let wanted = verdict != Verdict::No && !key.ends_with('/');
        wanted.then(|| Entry::Object(Box::new(found(&self.bucket, object, verdict))))
    }
}

fn name(entry: &Entry) -> &str {
    match entry {
        Entry::Object(found) => &found.key,
        Entry::Folder(folder) => folder,
        Entry::Page(page) => &page.prefix,
    }
}

fn found(bucket: &str, object: &Object, verdict: Verdict) -> Found {
    let key = object.key().unwrap_or_default().to_owned();
    let class = object.storage_class().and_then(|class| Class::named(class.as_str()));
    let micros = |time: &aws_smithy_types::DateTime| {
        time.secs().saturating_mul(1_000_000).saturating_add(i64::from(time.subsec_nanos() / 1_000))
    };
    Found {
        candidate: Candidate {
            place: Place::Bucket { bucket: bucket.to_owned(), key: key.clone() },
            stored_bytes: object.size().unwrap_or(0).unsigned_abs(),
            last_modified: object.last_modified().map(micros),
            etag: object.e_tag().map(str::to_owned),
        },
        key,
        offline: class.filter(|class| class.is_offline()),
        undated: verdict == Verdict::Undated,
    }
}

/// What follows the root in a path, with slashes.
fn below(root: &Path, path: &Path) -> String {
    let rest = path.strip_prefix(root).unwrap_or(path);
    let rest = if rest.as_os_str().is_empty() { path.file_name().map_or(path, Path::new) } else { rest };
    rest.to_string_lossy().into_owned()
}

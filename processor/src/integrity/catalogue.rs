//! Where the objects of digests lie now: at the bucket and key they were delivered to, where a mapping
//! says they were moved to, or, below a local folder, under the same name.

use crate::storage::{Candidate, Place};
use std::collections::HashMap;
use thiserror::Error;

/// Where objects were moved to: `FROM=TO`, both prefixes of locations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves {
    moves: Vec<(String, String)>,
}

/// A move that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("move `{0}` is not FROM=TO: for example s3://old-bucket/prefix=s3://archive/2026")]
pub struct MoveError(String);

impl Moves {
    /// Reads moves as given on the command line.
    ///
    /// # Errors
    /// When one lacks its `=` or a side.
    pub fn parse(texts: &[String]) -> Result<Moves, MoveError> {
        let parse = |text: &String| match text.split_once('=') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => {
                let trim = |side: &str| side.trim_end_matches('/').to_owned();
                Ok((trim(from), trim(to)))
            }
            _ => Err(MoveError(text.clone())),
        };
        Ok(Moves { moves: texts.iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// Where an object delivered to `location` is by the first move that covers it.
    pub fn apply(&self, location: String) -> String {
        for (from, to) in &self.moves {
            if let Some(rest) = location.strip_prefix(from.as_str())
                && (rest.is_empty() || rest.starts_with('/'))
            {
                return format!("{to}{rest}");
            }
        }
        location
    }
}

/// Everything that was listed, findable by where it was delivered to.
#[derive(Debug)]
pub struct Catalogue {
    candidates: Vec<Candidate>,
    by_location: HashMap<String, usize>,
    /// Local files by name: a downloaded copy keeps the names, rarely the bucket.
    by_name: HashMap<String, Vec<usize>>,
    moves: Moves,
    listed: Vec<bool>,
}

fn name_of(location: &str) -> &str {
    location.rsplit('/').next().unwrap_or(location)
}

impl Catalogue {
    /// Over a listing.
    pub fn new(candidates: Vec<Candidate>, moves: Moves) -> Catalogue {
        let mut by_location = HashMap::with_capacity(candidates.len());
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, candidate) in candidates.iter().enumerate() {
            let location = candidate.place.location();
            if matches!(candidate.place, Place::File(_)) {
                by_name.entry(name_of(&location).to_owned()).or_default().push(index);
            }
            by_location.insert(location, index);
        }
        let listed = vec![false; candidates.len()];
        Catalogue { candidates, by_location, by_name, moves, listed }
    }

    /// What was listed.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The listed object that was delivered to `bucket` and `key`.
    pub fn find(&self, bucket: &str, key: &str) -> Option<usize> {
        let location = self.moves.apply(format!("s3://{bucket}/{key}"));
        if let Some(&index) = self.by_location.get(&location) {
            return Some(index);
        }
        // The longest common end decides between files of one name: the whole key, then what follows
        // `AWSLogs/`, then the name alone where it is the only one.
        let found = self.by_name.get(name_of(key))?;
        let ends = |end: &str| {
            let wanted = format!("/{end}");
            found.iter().copied().find(|&index| {
                self.candidates.get(index).is_some_and(|one| one.place.location().ends_with(&wanted))
            })
        };
        let tail = key.find("AWSLogs/").and_then(|at| key.get(at..));
        ends(key).or_else(|| tail.and_then(ends)).or(match found.as_slice() {
            [only] => Some(*only),
            _ => None,
        })
    }

    /// Where an object that was not listed should be.
    pub fn expected(&self, bucket: &str, key: &str) -> Place {
        Place::from_location(&self.moves.apply(format!("s3://{bucket}/{key}")))
    }

    /// Whether only local files were listed: then there is nothing to look for elsewhere.
    pub fn is_local(&self) -> bool {
        self.candidates.iter().all(|one| matches!(one.place, Place::File(_)))
    }

    /// Notes that a digest lists the object.
    pub fn note_listed(&mut self, index: usize) {
        if let Some(listed) = self.listed.get_mut(index) {
            *listed = true;
        }
    }

    /// Objects that no digest listed.
    pub fn unlisted(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().zip(&self.listed).filter(|(_, listed)| !**listed).map(|(one, _)| one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(locations: &[&str], moves: &[&str]) -> Catalogue {
        let candidate = |location: &&str| Candidate {
            place: Place::from_location(location),
            stored_bytes: 1,
            last_modified: None,
            etag: None,
        };
        let moves: Vec<String> = moves.iter().map(|text| (*text).to_owned()).collect();
        Catalogue::new(locations.iter().map(candidate).collect(), Moves::parse(&moves).expect("moves"))
    }

    #[test]
    fn objects_are_found_where_they_were_delivered_moved_or_downloaded_to() {
        let s3 = catalogue(
            &["s3://b/AWSLogs/1/x.gz", "s3://arch/2026/AWSLogs/1/y.gz"],
            &["s3://old=s3://arch/2026"],
        );
        assert_eq!(s3.find("b", "AWSLogs/1/x.gz"), Some(0));
        assert_eq!(s3.find("c", "AWSLogs/1/x.gz"), None, "another bucket is another object");
        assert_eq!(s3.find("old", "AWSLogs/1/y.gz"), Some(1));
        let local = catalogue(&["/a/p/AWSLogs/1/x.gz", "/a/q/AWSLogs/1/x.gz", "/a/only.gz"], &[]);
        assert_eq!(local.find("b", "q/AWSLogs/1/x.gz"), Some(1));
        assert_eq!(local.find("b", "other/AWSLogs/1/x.gz"), Some(0));
        assert_eq!(local.find("b", "deep/only.gz"), Some(2));
        assert_eq!(local.find("b", "deep/none.gz"), None);
    }

    #[test]
    fn a_move_needs_both_sides_and_ends_at_a_slash() {
        assert!(Moves::parse(&["s3://a".to_owned()]).is_err());
        let moves = Moves::parse(&["s3://a/p=/copy".to_owned()]).expect("a move");
        assert_eq!(moves.apply("s3://a/p/x".to_owned()), "/copy/x");
        assert_eq!(moves.apply("s3://a/pq/x".to_owned()), "s3://a/pq/x");
    }
}

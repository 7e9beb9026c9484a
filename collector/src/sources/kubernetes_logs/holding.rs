//! What is held on to: positions of files that are gone, and descriptors of quiet ones.

use super::*;

impl Reader {
    /// Drops positions of files that have been gone for long, here and in the checkpoint.
    pub(super) fn forget(&mut self) {
        let seen: HashSet<Fingerprint> = self.known.values().filter_map(|known| known.id).collect();
        // Another source's files are not for this one to judge.
        let now = Instant::now();
        let mut gone = Vec::new();
        for (id, (position, last_seen)) in &mut self.positions {
            if seen.contains(id) || self.aside.contains_key(std::path::Path::new(&position.path)) {
                *last_seen = now;
            } else if last_seen.elapsed() >= FORGET_AFTER
                && self.discovery.owns(std::path::Path::new(&position.path))
            {
                gone.push((*id, position.to));
            }
        }
        for (id, to) in gone {
            if let Some((position, _)) = self.positions.remove(&id) {
                self.batch.advances.push(Advance { from: to, position, reset: false, forget: true });
                self.opened.get_or_insert(now);
            }
        }
    }

    /// Keeps the number of open files below the limit by closing those longest without news. They
    /// are followed again as soon as a scan sees them change.
    pub(super) fn close_some(&mut self) {
        let excess = self.files.len().saturating_sub(self.settings.max_open_files);
        if excess == 0 {
            return;
        }
        // A deleted file can't be opened again: it is closed at its end only.
        let read = |file: &Tail| file.unread().is_ok_and(|(bytes, deleted)| bytes == 0 && !deleted);
        let closable = |file: &&Tail| {
            let quiet = file.stage.is_some() && file.quiet() > LOOK_MAX;
            quiet && !file.holds_back() && !file.is_gzip() && read(file)
        };
        let mut quiet: Vec<(Duration, Key)> =
            self.files.values().filter(closable).map(|file| (file.quiet(), file.key())).collect();
        quiet.sort_unstable_by(|a, b| b.cmp(a));
        for (_, key) in quiet.into_iter().take(excess) {
            if let Some(file) = self.files.remove(&key) {
                let (size, modified) = file.stamp();
                self.known.insert(key, Known { size, modified, id: Some(file.id) });
                self.release(key, file);
            }
        }
    }
}

//! The limit the kernel holds this process to.

use std::fs;
use std::path::Path;

/// Version 1 says "no limit" with the largest number of whole pages; no machine has this much.
const NONE: usize = 1 << 50;

/// The smallest memory limit of the cgroups this process is in, version 1 or 2. `proc` and `sys` are
/// `/proc/self/cgroup` and `/sys/fs/cgroup`.
pub fn limit(proc: &Path, sys: &Path) -> Option<usize> {
    let text = fs::read_to_string(proc).unwrap_or_default();
    let groups = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?))
    });
    let limits = groups.filter_map(|(controllers, path)| {
        let (root, file) = match controllers {
            "" => (sys.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (sys.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        // In a container the path may be the host's, of which only the root is mounted: the file is
        // then looked for in every directory above, and so are limits of the groups around.
        let groups = Path::new(path.trim_start_matches('/')).ancestors();
        groups.filter_map(|group| read(&root.join(group).join(file))).min()
    });
    limits.min()
}

fn read(path: &Path) -> Option<usize> {
    let text = fs::read_to_string(path).ok()?;
    // Version 2 says "max" when there is none.
    text.trim().parse().ok().filter(|limit| *limit < NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_counts_and_no_limit_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (proc, sys) = (dir.path().join("cgroup"), dir.path().join("sys"));
        let write = |path: &str, text: &str| {
            let path = sys.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(limit(&proc, &sys), None, "no cgroups at all");
        fs::write(&proc, "4:cpu,memory:/pods/a\n0::/pods/a\n").unwrap();
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory.max", "max\n");
        assert_eq!(limit(&proc, &sys), None);
        // Only the root is mounted.
        write("memory/memory.limit_in_bytes", "1000000\n");
        assert_eq!(limit(&proc, &sys), Some(1_000_000));
        // A group around the own one is tighter; a group of version 2 is tighter still.
        write("memory/pods/memory.limit_in_bytes", "500000\n");
        write("memory/pods/a/memory.limit_in_bytes", "700000\n");
        assert_eq!(limit(&proc, &sys), Some(500_000));
        write("pods/a/memory.max", "400000\n");
        assert_eq!(limit(&proc, &sys), Some(400_000));
        // What belongs to others does not count.
        write("pods/b/memory.max", "1\n");
        assert_eq!(limit(&proc, &sys), Some(400_000));
    }
}

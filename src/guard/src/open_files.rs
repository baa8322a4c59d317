//! How many files and connections this process may have open, and how many of them a program's
//! connections may take.

use crate::limits;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Allows this process as many open files as it may have. Not for a process that starts programs:
/// they would inherit the limit, and some still use `select`, which knows 1,024.
pub fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
}

/// How many connections may be served at once: the rest is for the database and the archive.
pub fn connections_max() -> usize {
    let allowed = getrlimit(Resource::Nofile).current;
    share(allowed.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX)))
}

fn share(allowed: usize) -> usize {
    let left = allowed.saturating_sub(limits::OPEN_FILES_RESERVED).max(allowed / 2);
    left.clamp(1, limits::CLIENT_CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        for (allowed, expected) in [
            (0, 1),
            (1_024, 512),
            (20_000, limits::CLIENT_CONNECTIONS_MAX),
            (12_000, 12_000 - limits::OPEN_FILES_RESERVED),
            (usize::MAX, limits::CLIENT_CONNECTIONS_MAX),
        ] {
            assert_eq!(share(allowed), expected, "{allowed}");
        }
    }

    #[test]
    fn raised_is_as_high_as_it_goes() {
        raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}

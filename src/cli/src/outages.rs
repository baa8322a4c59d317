//! Says during a run when its archive or its database is away, or a table is locked, and when that
//! is over: a run waits for these, and without a word it looks as if it hung.

use std::convert::Infallible;
use std::time::Duration;

use dm_contract::report::{Behind, Outage};
use dm_contract::verdict::LockHolder;
use dm_engine::Engine;
use dm_engine::archive::locks::LockTimes;

use crate::print::say;

/// Between two looks at the outages.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks that an outage lasts before its message appears: a shorter one needs no explanation.
const LOOKS: u32 = 3;

/// Tells of what a run waits for as long as it is polled.
pub async fn tell(engine: &Engine) -> Infallible {
    let mut seen = Seen::default();
    loop {
        tokio::time::sleep(PERIOD).await;
        let lines = seen.look(&engine.outages(), engine.locked().as_ref());
        for line in &lines {
            say(line);
        }
    }
}

/// What lasted at the last looks.
#[derive(Debug, Default)]
struct Seen {
    outages: Vec<Lasting>,
    /// The lock that is waited for, and the looks at it.
    lock: Option<(LockHolder, u32)>,
}

#[derive(Debug)]
struct Lasting {
    of: Behind,
    looks: u32,
}

impl Seen {
    /// What is to be told after another look.
    fn look(&mut self, outages: &[Outage], locked: Option<&LockHolder>) -> Vec<String> {
        let mut lines: Vec<String> = self.look_at_lock(locked).into_iter().collect();
        let lasts = |of| outages.iter().any(|outage| outage.lasts && outage.of == of);
        self.outages.retain(|lasting| {
            let is_back = !lasts(lasting.of);
            if is_back && lasting.looks >= LOOKS {
                lines.push(format!("{} again", words(lasting.of).1));
            }
            !is_back
        });
        for outage in outages.iter().filter(|outage| outage.lasts) {
            let Some(lasting) = self.outages.iter_mut().find(|lasting| lasting.of == outage.of)
            else {
                self.outages.push(Lasting { of: outage.of, looks: 1 });
                continue;
            };
            lasting.looks = lasting.looks.saturating_add(1);
            if lasting.looks == LOOKS {
                let Outage { of, since, message, .. } = outage;
                lines.push(format!("{} since {since}: {message}", words(*of).0));
            }
        }
        lines
    }

    fn look_at_lock(&mut self, locked: Option<&LockHolder>) -> Option<String> {
        match (&mut self.lock, locked) {
            (Some((before, looks)), Some(now)) if before == now => {
                *looks = looks.saturating_add(1);
                (*looks == LOOKS).then(|| waits(now))
            }
            (seen, Some(now)) => {
                *seen = Some((now.clone(), 1));
                None
            }
            (seen, None) => {
                let (before, looks) = seen.take()?;
                (looks >= LOOKS).then(|| format!("this run has the lock of table {}", before.table))
            }
        }
    }
}

/// What is said of a lock that another run has.
fn waits(holder: &LockHolder) -> String {
    let LockHolder { table, by, since, .. } = holder;
    let lease = LockTimes::default().lease.as_secs();
    format!(
        "waiting for the lock of table {table}: run {by} has had it since {since}. If that run was \
         killed, its lock is taken over {lease} s after its last heartbeat"
    )
}

/// What is said of one that is away, and of one that is back.
fn words(of: Behind) -> (&'static str, &'static str) {
    match of {
        Behind::Archive => {
            ("archive unavailable, so no write is sent,", "archive available, writes are sent")
        }
        Behind::Database => ("database unreachable", "database reachable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(of: Behind, lasts: bool) -> Outage {
        let since = "2026-12-01T10:00:00Z".into();
        Outage { of, since, calls: 1, message: "the disk is full".into(), lasts }
    }

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        let mut seen = Seen::default();
        let lasting = [outage(Behind::Archive, true)];
        let told: Vec<Vec<String>> = (0..5).map(|_| seen.look(&lasting, None)).collect();
        let line = "archive unavailable, so no write is sent, since 2026-12-01T10:00:00Z: the disk \
                    is full";
        assert_eq!(told, [vec![], vec![], vec![line.to_owned()], vec![], vec![]]);
        let ended = [outage(Behind::Archive, false)];
        assert_eq!(seen.look(&ended, None), ["archive available, writes are sent again"]);
        assert_eq!(seen.look(&ended, None), [""; 0]);
    }

    #[test]
    fn a_short_outage_is_not_told() {
        let mut seen = Seen::default();
        for lasts in [true, true, false, true, true, false, false] {
            assert_eq!(seen.look(&[outage(Behind::Database, lasts)], None), [""; 0]);
        }
        assert_eq!(seen.look(&[], None), [""; 0]);
    }

    #[test]
    fn a_lock_that_is_waited_for_is_told_and_so_is_its_end() {
        let holder = |by: &str| LockHolder {
            table: "cars".into(),
            by: by.into(),
            namespace: String::new(),
            name: "exec".into(),
            since: "2026-12-01T10:00:00Z".into(),
            fence: 1,
        };
        let mut seen = Seen::default();
        let mut told = Vec::new();
        // The first one is gone before it is worth a word.
        for by in ["exec/1", "exec/1", "exec/2", "exec/2", "exec/2", "exec/2"] {
            told.extend(seen.look(&[], Some(&holder(by))));
        }
        assert_eq!(
            told,
            ["waiting for the lock of table cars: run exec/2 has had it since \
              2026-12-01T10:00:00Z. If that run was killed, its lock is taken over 30 s after its \
              last heartbeat"]
        );
        assert_eq!(seen.look(&[], None), ["this run has the lock of table cars"]);
        assert_eq!(seen.look(&[], None), [""; 0]);
    }

    #[test]
    fn archive_and_database_are_told_apart() {
        let mut seen = Seen::default();
        let both = [outage(Behind::Archive, true), outage(Behind::Database, true)];
        seen.look(&both, None);
        seen.look(&both, None);
        assert_eq!(seen.look(&both, None).len(), 2);
        let one = [outage(Behind::Archive, false), outage(Behind::Database, true)];
        assert_eq!(seen.look(&one, None), ["archive available, writes are sent again"]);
    }
}

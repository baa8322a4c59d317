//! Says during a run when its archive or its database is away, and when it is back: a run waits for
//! them for minutes, and without a word it looks as if it hung.

use std::convert::Infallible;
use std::time::Duration;

use dm_contract::report::{Behind, Outage};
use dm_engine::Engine;

use crate::print::say;

/// Between two looks at the outages.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks that an outage lasts before its message appears: a shorter one needs no explanation.
const LOOKS: u32 = 3;

/// Tells of the outages of a run for as long as it is polled.
pub async fn tell(engine: &Engine) -> Infallible {
    let mut seen = Seen::default();
    loop {
        tokio::time::sleep(PERIOD).await;
        seen.look(&engine.outages()).iter().for_each(|line| say(line));
    }
}

/// The outages that lasted at the last looks.
#[derive(Debug, Default)]
struct Seen(Vec<Lasting>);

#[derive(Debug)]
struct Lasting {
    of: Behind,
    looks: u32,
}

impl Seen {
    /// What is to be told after another look.
    fn look(&mut self, outages: &[Outage]) -> Vec<String> {
        let mut lines = Vec::new();
        let lasts = |of| outages.iter().any(|outage| outage.lasts && outage.of == of);
        self.0.retain(|lasting| {
            let is_back = !lasts(lasting.of);
            if is_back && lasting.looks >= LOOKS {
                lines.push(format!("{} again", words(lasting.of).1));
            }
            !is_back
        });
        for outage in outages.iter().filter(|outage| outage.lasts) {
            let Some(lasting) = self.0.iter_mut().find(|lasting| lasting.of == outage.of) else {
                self.0.push(Lasting { of: outage.of, looks: 1 });
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
        let told: Vec<Vec<String>> = (0..5).map(|_| seen.look(&lasting)).collect();
        let line = "archive unavailable, so no write is sent, since 2026-12-01T10:00:00Z: the disk \
                    is full";
        assert_eq!(told, [vec![], vec![], vec![line.to_owned()], vec![], vec![]]);
        let ended = [outage(Behind::Archive, false)];
        assert_eq!(seen.look(&ended), ["archive available, writes are sent again"]);
        assert_eq!(seen.look(&ended), [""; 0]);
    }

    #[test]
    fn a_short_outage_is_not_told() {
        let mut seen = Seen::default();
        for lasts in [true, true, false, true, true, false, false] {
            assert_eq!(seen.look(&[outage(Behind::Database, lasts)]), [""; 0]);
        }
        assert_eq!(seen.look(&[]), [""; 0]);
    }

    #[test]
    fn archive_and_database_are_told_apart() {
        let mut seen = Seen::default();
        let both = [outage(Behind::Archive, true), outage(Behind::Database, true)];
        seen.look(&both);
        seen.look(&both);
        assert_eq!(seen.look(&both).len(), 2);
        let one = [outage(Behind::Archive, false), outage(Behind::Database, true)];
        assert_eq!(seen.look(&one), ["archive available, writes are sent again"]);
    }
}

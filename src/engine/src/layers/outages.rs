//! Records when the archive or the database stops answering and when it answers again: a run may
//! end because of it, and its owner should see it during the run.

use crate::limits;
use dm_contract::report::{Behind, Outage};
use jiff::{Timestamp, Unit};
use parking_lot::Mutex;

use crate::fault::Fault;

/// At most one outage of each, the last.
#[derive(Debug, Default)]
pub struct Outages(Mutex<Vec<Noted>>);

/// An outage, and how many calls the database had answered when a call last failed because of it.
#[derive(Debug)]
struct Noted {
    outage: Outage,
    answered: u64,
}

impl Outages {
    /// Notes that a call was not carried out, when the database has answered this many calls. If
    /// the fault is none of an outage, and the database has answered since it was away, it is back:
    /// an error in the request or a condition that fails is an answer as well.
    pub fn failed(&self, fault: &Fault, answered: u64) {
        let (of, message) = match fault {
            Fault::NotJournaled(why) => (Behind::Archive, why.clone()),
            Fault::NotSent(why) | Fault::Unavailable(why) => (Behind::Database, why.clone()),
            Fault::Upstream { status, .. } if *status >= 500 => {
                (Behind::Database, format!("it answered with status {status}"))
            }
            Fault::Upstream { .. }
            | Fault::Service(_)
            | Fault::Refused { .. }
            | Fault::Throttled
            | Fault::Limited
            | Fault::Stopping => return self.answered(answered),
        };
        let message: String = message.chars().take(limits::OUTAGE_MESSAGE_CHARS_MAX).collect();
        let mut outages = self.0.lock();
        match outages.iter_mut().find(|noted| noted.outage.of == of) {
            Some(noted) if noted.outage.lasts => {
                noted.outage.calls = noted.outage.calls.saturating_add(1);
                noted.outage.message = message;
                noted.answered = answered;
            }
            ended => {
                let outage = Outage { of, since: now(), calls: 1, message, lasts: true };
                let noted = Noted { outage, answered };
                match ended {
                    Some(ended) => *ended = noted,
                    None => outages.push(noted),
                }
            }
        }
    }

    /// The database has answered this many calls.
    fn answered(&self, answered: u64) {
        for noted in self.0.lock().iter_mut() {
            if noted.outage.of == Behind::Database && answered > noted.answered {
                noted.outage.lasts = false;
            }
        }
    }

    /// A call was carried out: the database answers, and so does the archive where it is a write.
    /// A statement that only reads is none.
    pub fn carried_out(&self, writes: bool) {
        for Noted { outage, .. } in self.0.lock().iter_mut().filter(|noted| noted.outage.lasts) {
            outage.lasts = outage.of == Behind::Archive && !writes;
        }
    }

    /// All that were noted.
    pub fn all(&self) -> Vec<Outage> {
        self.0.lock().iter().map(|noted| noted.outage.clone()).collect()
    }
}

fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(outages: &Outages) -> Vec<(Behind, u64, bool)> {
        outages.all().into_iter().map(|o| (o.of, o.calls, o.lasts)).collect()
    }

    #[test]
    fn an_outage_lasts_until_a_call_of_its_kind_is_carried_out() {
        let outages = Outages::default();
        let full = || Fault::NotJournaled("no space left on device".into());
        outages.failed(&full(), 0);
        outages.failed(&full(), 0);
        outages.failed(&Fault::Unavailable("connection refused".into()), 0);
        let (archive, database) = (Behind::Archive, Behind::Database);
        assert_eq!(noted(&outages), [(archive, 2, true), (database, 1, true)]);
        outages.carried_out(false);
        assert_eq!(noted(&outages), [(archive, 2, true), (database, 1, false)]);
        outages.carried_out(true);
        assert_eq!(noted(&outages), [(archive, 2, false), (database, 1, false)]);
        outages.failed(&full(), 0);
        assert_eq!(noted(&outages), [(archive, 1, true), (database, 1, false)], "another one");
    }

    #[test]
    fn an_error_of_the_programs_own_is_no_outage() {
        let outages = Outages::default();
        let body = bytes::Bytes::new();
        outages.failed(&Fault::Upstream { status: 400, body: body.clone() }, 1);
        outages.failed(&Fault::Throttled, 2);
        outages.failed(&Fault::refused("no", "not allowed"), 2);
        assert_eq!(noted(&outages), []);
        outages.failed(&Fault::Upstream { status: 503, body }, 2);
        assert_eq!(noted(&outages), [(Behind::Database, 1, true)]);
    }
    #[test]
    fn an_answer_that_is_an_error_ends_an_outage_of_the_database_and_none_of_the_archive() {
        let outages = Outages::default();
        let condition = || Fault::Upstream { status: 400, body: bytes::Bytes::new() };
        outages.failed(&Fault::NotJournaled("no space left on device".into()), 7);
        outages.failed(&Fault::Unavailable("connection refused".into()), 7);
        let (archive, database) = (Behind::Archive, Behind::Database);
        outages.failed(&Fault::refused("no", "not allowed"), 7);
        let refused = "the guard's own refusal says nothing of the database";
        assert_eq!(noted(&outages), [(archive, 1, true), (database, 1, true)], "{refused}");
        outages.failed(&Fault::Unavailable("connection refused".into()), 9);
        outages.failed(&condition(), 9);
        let before = "those 2 answers came before it failed again";
        assert_eq!(noted(&outages), [(archive, 1, true), (database, 2, true)], "{before}");
        outages.failed(&condition(), 10);
        assert_eq!(noted(&outages), [(archive, 1, true), (database, 2, false)]);
    }
}

//! Notes when the archive or the database does not answer, and when it does again: a run may end
//! because of it, and its owner is to know of it meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits;
use dm_contract::report::{Behind, Outage};
use jiff::{Timestamp, Unit};

use crate::fault::Fault;
use crate::operation::Class;

/// At most one outage of each, the last.
#[derive(Debug, Default)]
pub struct Outages(Mutex<Vec<Outage>>);

impl Outages {
    /// A call was not carried out.
    pub fn failed(&self, fault: &Fault) {
        let (of, message) = match fault {
            Fault::NotJournalled(why) => (Behind::Archive, why.clone()),
            Fault::NotSent(why) | Fault::Unavailable(why) => (Behind::Database, why.clone()),
            Fault::Upstream { status, .. } if *status >= 500 => {
                (Behind::Database, format!("it answered with status {status}"))
            }
            Fault::Upstream { .. }
            | Fault::Service(_)
            | Fault::Refused { .. }
            | Fault::Throttled
            | Fault::Limited
            | Fault::Stopping => return,
        };
        let message: String = message.chars().take(limits::OUTAGE_MESSAGE_CHARS_MAX).collect();
        let mut outages = self.lock();
        match outages.iter_mut().find(|outage| outage.of == of) {
            Some(outage) if outage.lasts => {
                outage.calls = outage.calls.saturating_add(1);
                outage.message = message;
            }
            ended => {
                let outage = Outage { of, since: now(), calls: 1, message, lasts: true };
                match ended {
                    Some(ended) => *ended = outage,
                    None => outages.push(outage),
                }
            }
        }
    }

    /// A call was carried out: the database answers, and so does the archive where it is a write.
    pub fn carried_out(&self, class: Class) {
        let writes = class == Class::DataWrite;
        for outage in self.lock().iter_mut().filter(|outage| outage.lasts) {
            outage.lasts = outage.of == Behind::Archive && !writes;
        }
    }

    /// All that were noted.
    pub fn all(&self) -> Vec<Outage> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Outage>> {
        // The list is whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let full = || Fault::NotJournalled("no space left on device".into());
        outages.failed(&full());
        outages.failed(&full());
        outages.failed(&Fault::Unavailable("connection refused".into()));
        let (archive, database) = (Behind::Archive, Behind::Database);
        assert_eq!(noted(&outages), [(archive, 2, true), (database, 1, true)]);
        outages.carried_out(Class::DataRead);
        assert_eq!(noted(&outages), [(archive, 2, true), (database, 1, false)]);
        outages.carried_out(Class::DataWrite);
        assert_eq!(noted(&outages), [(archive, 2, false), (database, 1, false)]);
        outages.failed(&full());
        assert_eq!(noted(&outages), [(archive, 1, true), (database, 1, false)], "another one");
    }

    #[test]
    fn an_error_of_the_programs_own_is_no_outage() {
        let outages = Outages::default();
        let body = bytes::Bytes::new();
        outages.failed(&Fault::Upstream { status: 400, body: body.clone() });
        outages.failed(&Fault::Throttled);
        outages.failed(&Fault::refused("no", "not allowed"));
        assert_eq!(noted(&outages), []);
        outages.failed(&Fault::Upstream { status: 503, body });
        assert_eq!(noted(&outages), [(Behind::Database, 1, true)]);
    }
}

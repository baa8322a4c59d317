//! How fast a run may go: items and units, read and written, per second. Requests are held, not
//! refused, so that a program sees a slow database; the rates can be changed while it runs, it can
//! be paused, and a database that throttles lowers them by itself for a while: from what was
//! observed when it began to, so that this works without any rate given, too.

mod bucket;
mod gate;
mod history;
mod pace;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::limits;
use dm_contract::control::{CONTROL_VERSION, ControlState};
use dm_contract::plan::{Mode, RateLimits};
use dm_contract::report::Timeline;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::call::Call;
use crate::fault::Fault;
use crate::layers::completion::Client;
use crate::layers::rates::bucket::Bucket;
use crate::layers::rates::gate::Gate;
use crate::layers::rates::history::History;
use crate::layers::rates::pace::{Lowering, Pace, WHOLE};
use crate::operation::Class;
use crate::upstream::UpstreamCalls;

/// The pace of one run.
#[derive(Debug)]
pub struct Rates {
    mode: Mode,
    reads: Bucket,
    writes: Bucket,
    read_units: Bucket,
    write_units: Bucket,
    gate: Gate,
    read_pace: Mutex<Pace>,
    write_pace: Mutex<Pace>,
    /// What is asked for.
    limits: Mutex<RateLimits>,
    /// Whatever is asked for, it goes no faster.
    max: RateLimits,
    /// Write units a second that throttles have led a caller to which paces its own calls.
    paced: Mutex<Option<u32>>,
    /// What has been paid for.
    paid: Mutex<Used>,
    /// Whether the journal has read since a write last waited for what reads cost.
    journal_read: AtomicBool,
    /// When the run began, and what was used since, for its report.
    begun: Instant,
    history: Mutex<History>,
}

/// What a run has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// Items that reads returned.
    pub items_read: u64,
    /// Read units.
    pub read_units: f64,
    /// Those of them that the journal used for writes.
    pub journal_units: f64,
    /// Write units.
    pub write_units: f64,
    /// Answers of the database to reads that were throttles.
    pub read_throttles: u64,
    /// The same to writes.
    pub write_throttles: u64,
    /// Further throttles, of calls whose callers adapt to them: they lower no rate here.
    pub paced_throttles: u64,
}

impl Rates {
    /// The limits of a plan, and what none that are set later exceed.
    pub fn new(mode: Mode, limits: &RateLimits, max: RateLimits) -> Self {
        let rates = Self {
            mode,
            reads: Bucket::new(),
            writes: Bucket::new(),
            read_units: Bucket::new(),
            write_units: Bucket::new(),
            gate: Gate::new(),
            read_pace: Mutex::new(Pace::new(Instant::now())),
            write_pace: Mutex::new(Pace::new(Instant::now())),
            limits: Mutex::default(),
            max,
            paced: Mutex::default(),
            paid: Mutex::default(),
            journal_read: AtomicBool::new(false),
            begun: Instant::now(),
            history: Mutex::new(History::new()),
        };
        rates.set(limits);
        rates
    }

    /// Changes the limits of a run that continues.
    pub fn set(&self, asked: &RateLimits) {
        *self.limits.lock() = asked.clone();
        let to = self.in_force();
        self.reads.limit(to.reads_per_second);
        self.writes.limit(to.writes_per_second);
        self.read_units.limit(to.read_units_per_second);
        self.write_units.limit(to.write_units_per_second);
    }

    /// The limits as they were asked for.
    pub fn limits(&self) -> RateLimits {
        self.limits.lock().clone()
    }

    /// Those of them that hold.
    pub fn in_force(&self) -> RateLimits {
        self.limits.lock().lower(&self.max)
    }

    pub fn max(&self) -> RateLimits {
        self.max.clone()
    }

    /// What throttles have lowered the rates to; `None` while they have not.
    pub fn lowered(&self) -> Option<RateLimits> {
        let told = |bucket: &Bucket, pace| {
            let share = share(pace);
            (share < WHOLE).then(|| bucket.told(share)).flatten()
        };
        let lowered = RateLimits {
            reads_per_second: told(&self.reads, &self.read_pace),
            writes_per_second: told(&self.writes, &self.write_pace),
            read_units_per_second: told(&self.read_units, &self.read_pace),
            write_units_per_second: told(&self.write_units, &self.write_pace),
        };
        let paced = *self.paced.lock();
        let lowered =
            lowered.lower(&RateLimits { write_units_per_second: paced, ..RateLimits::default() });
        (lowered != RateLimits::default()).then_some(lowered)
    }

    /// Notes what a caller that paces its own calls has lowered its rate to.
    pub fn note_paced(&self, write_units_per_second: Option<u32>) {
        *self.paced.lock() = write_units_per_second;
    }

    /// How a run goes that has made these calls.
    pub fn state(&self, calls: UpstreamCalls) -> ControlState {
        ControlState {
            version: CONTROL_VERSION,
            paused: self.gate.is_paused(),
            held: self.gate.held(),
            limits: self.limits(),
            limits_max: self.max(),
            lowered: self.lowered(),
            throttled: calls.read_throttles + calls.write_throttles + calls.paced_throttles,
        }
    }

    /// What was used over time.
    pub fn timeline(&self) -> Timeline {
        self.history.lock().timeline()
    }

    /// The gate that a pause closes.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Holds a call until it may proceed. In a dry run writes cost the reads of what they change.
    /// What units a call uses is known afterwards, so calls that come behind it wait for them.
    /// During a pause a call whose client is gone is not held any longer, and not carried out.
    pub async fn admit(&self, call: &Call, client: &Client) -> Result<(), Fault> {
        let given_up = async {
            client.gone().await;
            self.gate.paused().await;
        };
        tokio::select! {
            biased;
            () = given_up => Err(Fault::Limited),
            admitted = self.admit_class(call) => admitted,
        }
    }

    async fn admit_class(&self, call: &Call) -> Result<(), Fault> {
        let patient = call.is_patient();
        match (call.operation.class(), self.mode) {
            (Class::DataRead, _) => self.admit_reads(0.0, patient).await,
            (Class::DataWrite, _) if call.only_reads() => self.admit_reads(0.0, patient).await,
            (Class::DataWrite, Mode::DryRun) => {
                self.admit_reads(items_written(call), patient).await
            }
            (Class::DataWrite, Mode::Apply) => {
                self.admit_journal(patient).await?;
                self.admit_writes(items_written(call), patient).await
            }
            (Class::MetadataRead | Class::ControlPlaneWrite | Class::AlwaysDenied, _) => Ok(()),
        }
    }

    /// Holds a write until what the journal has read for others is paid for. One whose image the
    /// journal has from the program's own reads costs no read, so where all are such, none waits.
    async fn admit_journal(&self, patient: bool) -> Result<(), Fault> {
        if self.journal_read.load(Ordering::Relaxed) {
            self.take(&self.read_units, &self.read_pace, 0.0, patient).await?;
            self.journal_read.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Holds a read until it may proceed; this many items are charged together.
    pub async fn admit_reads(&self, items: f64, patient: bool) -> Result<(), Fault> {
        self.take(&self.read_units, &self.read_pace, 0.0, patient).await?;
        self.take(&self.reads, &self.read_pace, items, patient).await
    }

    /// The same of who writes.
    pub async fn admit_writes(&self, items: f64, patient: bool) -> Result<(), Fault> {
        self.take(&self.write_units, &self.write_pace, 0.0, patient).await?;
        self.take(&self.writes, &self.write_pace, items, patient).await
    }

    /// Waits for a token, then pays this many. Those who wait are served in their order, and none
    /// while the run is paused. Who is patient waits as long as it takes, or until the guard stops.
    async fn take(
        &self,
        bucket: &Bucket,
        pace: &Mutex<Pace>,
        tokens: f64,
        patient: bool,
    ) -> Result<(), Fault> {
        loop {
            self.gate.pass(patient).await?;
            let share = || (!self.gate.is_paused()).then(|| share(pace));
            let longest = async {
                if patient {
                    return std::future::pending().await;
                }
                tokio::time::sleep(limits::RATE_HELD_MAX).await;
            };
            tokio::select! {
                biased;
                () = bucket.take(tokens, share) => return Ok(()),
                () = self.gate.closing() => return Err(Fault::Stopping),
                () = longest => {
                    if !self.gate.is_paused() {
                        return Err(Fault::Limited);
                    }
                }
            }
        }
    }

    /// Takes note of what has been used and throttled so far, over all calls. Waits for nobody:
    /// what was used is paid for even if the client of the call that used it is gone.
    pub fn observe(&self, used: Used) {
        self.history.lock().add(self.begun.elapsed(), used);
        let before = {
            let mut paid = self.paid.lock();
            let before = *paid;
            *paid = before.later(used);
            before
        };
        let items = used.items_read.saturating_sub(before.items_read);
        let items = u32::try_from(items).map_or(f64::MAX, f64::from);
        self.reads.pay(items, share(&self.read_pace));
        self.read_units.pay(used.read_units - before.read_units, share(&self.read_pace));
        if used.journal_units > before.journal_units {
            self.journal_read.store(true, Ordering::Relaxed);
        }
        // In a dry run they are what applying would cost, and nothing has been written.
        if self.mode == Mode::Apply {
            self.write_units.pay(used.write_units - before.write_units, share(&self.write_pace));
        }
        if used.read_throttles > before.read_throttles {
            throttled(&self.read_pace, &self.reads);
        }
        if used.write_throttles > before.write_throttles {
            throttled(&self.write_pace, &self.writes);
        }
    }
}

impl Used {
    /// The later of two counts: of two calls that end together, the later may bring the earlier
    /// counts.
    fn later(self, other: Self) -> Self {
        Self {
            items_read: self.items_read.max(other.items_read),
            read_units: self.read_units.max(other.read_units),
            journal_units: self.journal_units.max(other.journal_units),
            write_units: self.write_units.max(other.write_units),
            read_throttles: self.read_throttles.max(other.read_throttles),
            write_throttles: self.write_throttles.max(other.write_throttles),
            paced_throttles: self.paced_throttles.max(other.paced_throttles),
        }
    }
}

fn share(pace: &Mutex<Pace>) -> u32 {
    pace.lock().share(Instant::now())
}

fn throttled(pace: &Mutex<Pace>, bucket: &Bucket) {
    let now = Instant::now();
    let mut pace = pace.lock();
    match pace.throttled(now) {
        Lowering::None => return,
        Lowering::Afresh => bucket.observe(now),
        Lowering::Further => {}
    }
    tracing::info!(share_per_mille = pace.share(now), "the database throttles: rates lowered");
}

/// How many items a call writes, as its body says. A body of which nothing is counted is one write.
fn items_written(call: &Call) -> f64 {
    let items = call.outline().items_written().max(1);
    u32::try_from(items).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests;

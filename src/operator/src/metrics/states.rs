//! Gauges of what migrations do now, made of the watches at each scrape: a series ends with its
//! state.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use dm_api::DataMigration;
use dm_api::condition::{Reason, types};
use dm_api::status::{DataMigrationStatus, Phase, RunKind, RunResult};
use jiff::Timestamp;
use kube::ResourceExt as _;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;

use crate::cache::Cache;

/// Labels of a migration, in a state in which few are at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct Named {
    namespace: String,
    migration: String,
}

/// The same, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct Reasoned {
    namespace: String,
    migration: String,
    reason: String,
}

/// The same, and what is under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct Running {
    namespace: String,
    migration: String,
    kind: String,
}

/// Migrations of a namespace in a phase.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct Phases {
    namespace: String,
    phase: String,
}

/// What migrations do now.
#[derive(Debug, Default, PartialEq, Eq)]
struct States {
    phases: BTreeMap<Phases, i64>,
    stalled: BTreeMap<Reasoned, i64>,
    waiting: BTreeMap<Reasoned, i64>,
    running: BTreeMap<Running, i64>,
    throttled: BTreeMap<Named, i64>,
}

impl States {
    fn add(&mut self, migration: &DataMigration) {
        let Some(status) = &migration.status else { return };
        let Some(phase) = status.phase else { return };
        let (Some(namespace), name) = (migration.namespace(), migration.name_any()) else { return };
        let word = serde_json::json!(phase).as_str().unwrap_or_default().to_owned();
        let phases = Phases { namespace: namespace.clone(), phase: word };
        *self.phases.entry(phases).or_default() += 1;
        let reasoned = |reason: &str| Reasoned {
            namespace: namespace.clone(),
            migration: name.clone(),
            reason: reason.to_owned(),
        };
        if let Some((reason, _)) = is_true(status, types::STALLED) {
            self.stalled.insert(reasoned(reason), 1);
        }
        let waiting = is_true(status, types::RECONCILING);
        if let Some((kind, at)) = started(status) {
            let kind = format!("{kind:?}");
            let running = Running { namespace: namespace.clone(), migration: name.clone(), kind };
            self.running.insert(running, at.as_second());
        } else if let Some((reason, since)) = waiting.filter(|_| phase != Phase::Terminating) {
            let since = waits_since(migration, status, reason, since);
            self.waiting.insert(reasoned(reason), since.as_second());
        }
        if is_true(status, types::THROTTLED).is_some() {
            self.throttled.insert(Named { namespace, migration: name }, 1);
        }
    }
}

/// The reason of a condition that is True, and since when it is.
fn is_true<'a>(status: &'a DataMigrationStatus, type_: &str) -> Option<(&'a str, Timestamp)> {
    let found = status.conditions.iter().find(|one| one.type_ == type_ && one.status == "True")?;
    Some((&found.reason, found.last_transition_time.0))
}

/// Since when a migration waits for what `reason` names. `Reconciling` became True at
/// `reconciling`, perhaps for an earlier reason: a start time, or a run that has ended since.
fn waits_since(
    migration: &DataMigration,
    status: &DataMigrationStatus,
    reason: &str,
    reconciling: Timestamp,
) -> Timestamp {
    let start = migration.spec.start_at.as_ref().map(|time| time.0);
    let start = start.filter(|_| reason != Reason::WaitingForStart.as_str());
    let run = status.runs.first().map(|run| {
        // A run that was put off keeps the time of its first attempt.
        let put_off = run.waiting_since.as_ref();
        let ended = run.recorded_at.as_ref();
        let since = match run.result {
            RunResult::Starting | RunResult::Running => put_off,
            RunResult::Canceled => put_off.or(ended),
            RunResult::Succeeded | RunResult::Failed | RunResult::Unknown => ended,
        };
        since.unwrap_or(&run.requested_at).0
    });
    [Some(reconciling), start, run].into_iter().flatten().max().unwrap_or(reconciling)
}

/// The kind of the run whose program has started and not ended, and when it did.
fn started(status: &DataMigrationStatus) -> Option<(RunKind, Timestamp)> {
    let run = status.under_way()?;
    Some((run.kind, run.execution_time.as_ref()?.0))
}

/// Reads the watches at each scrape.
pub struct OfCaches(pub Vec<Arc<Cache>>);

impl fmt::Debug for OfCaches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OfCaches").field(&self.0.len()).finish()
    }
}

impl Collector for OfCaches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut states = States::default();
        for cache in &self.0 {
            for migration in cache.migrations.store().state() {
                states.add(&migration);
            }
        }
        gauge(&mut encoder, "migrations", "Migrations by phase", &states.phases)?;
        gauge(&mut encoder, "stalled", "1 for each migration that is Stalled", &states.stalled)?;
        gauge(
            &mut encoder,
            "waiting_since_timestamp_seconds",
            "Unix time since which a migration waits to run",
            &states.waiting,
        )?;
        gauge(
            &mut encoder,
            "running_since_timestamp_seconds",
            "Unix time at which the program of a current run started",
            &states.running,
        )?;
        gauge(
            &mut encoder,
            "throttled",
            "1 for each migration whose run is throttled",
            &states.throttled,
        )
    }
}

fn gauge<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: &BTreeMap<L, i64>,
) -> fmt::Result {
    let kind = ConstGauge::new(0_i64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in series {
        ConstGauge::new(*value).encode(family.encode_family(labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;
    use crate::metrics::Metrics;
    use crate::samples;

    fn migration(
        name: &str,
        phase: &str,
        true_: &[(&str, Reason)],
        status: &Value,
    ) -> DataMigration {
        let conditions: Vec<Value> = true_
            .iter()
            .map(|(type_, reason)| {
                json!({
                    "type": type_, "status": "True", "reason": reason.as_str(), "message": "",
                    "lastTransitionTime": samples::time(60),
                })
            })
            .collect();
        let known = json!({"phase": phase, "conditions": conditions});
        let named = json!({"metadata": {"name": name}, "status": known});
        samples::with(&samples::migration(named), json!({"status": status}))
    }

    /// The lines of gauges of states that a scrape gives.
    fn scrape(migrations: Vec<DataMigration>) -> Vec<String> {
        let (cache, mut writers) = Cache::new();
        for migration in migrations {
            writers.migrations.apply_watcher_event(&Event::Apply(migration));
        }
        let metrics = Metrics::of(vec![Arc::new(cache)]);
        let states = ["migrations", "stalled", "waiting", "running", "throttled"];
        let is_state = |line: &&str| {
            states.iter().any(|one| line.starts_with(&format!("datamigration_{one}")))
        };
        let text = metrics.text();
        let mut lines: Vec<String> = text.lines().filter(is_state).map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn each_state_has_a_series_while_it_lasts() {
        let run = |started: Value| {
            let run = samples::record(RunKind::Apply);
            let run = samples::with(&run, json!({"result": "Running"}));
            json!({"lastRun": 1, "runs": [samples::with(&run, json!({"executionTime": started}))]})
        };
        let (at, since) = (samples::at(90).as_second(), samples::at(60).as_second());
        let reconciling = |reason| (types::RECONCILING, reason);
        let lines = scrape(vec![
            migration("a", "Failed", &[(types::STALLED, Reason::ProgramFailed)], &json!({})),
            migration("b", "Waiting", &[reconciling(Reason::LockedByAnother)], &json!({})),
            migration("c", "Running", &[reconciling(Reason::Starting)], &run(Value::Null)),
            migration(
                "d",
                "Running",
                &[reconciling(Reason::Running), (types::THROTTLED, Reason::Throttled)],
                &run(json!(samples::time(90))),
            ),
            migration("e", "Applied", &[(types::READY, Reason::Applied)], &json!({})),
            migration("f", "Terminating", &[reconciling(Reason::Terminating)], &json!({})),
        ]);
        let of = |migration: &str, more: &str| {
            format!("{{namespace=\"team\",migration=\"{migration}\"{more}}}")
        };
        let mut expected = vec![
            format!(
                "datamigration_running_since_timestamp_seconds{} {at}",
                of("d", ",kind=\"Apply\"")
            ),
            format!("datamigration_stalled{} 1", of("a", ",reason=\"ProgramFailed\"")),
            format!("datamigration_throttled{} 1", of("d", "")),
            format!(
                "datamigration_waiting_since_timestamp_seconds{} {since}",
                of("b", ",reason=\"LockedByAnother\"")
            ),
            format!(
                "datamigration_waiting_since_timestamp_seconds{} {since}",
                of("c", ",reason=\"Starting\"")
            ),
        ];
        for (phase, count) in
            [("Applied", 1), ("Failed", 1), ("Running", 2), ("Terminating", 1), ("Waiting", 1)]
        {
            let labels = format!("{{namespace=\"team\",phase=\"{phase}\"}}");
            expected.push(format!("datamigration_migrations{labels} {count}"));
        }
        expected.sort();
        assert_eq!(lines, expected);
        assert_eq!(scrape(Vec::new()), Vec::<String>::new(), "a series ends with its state");
    }

    /// The reason and the age of the one migration that waits.
    fn waiting(reason: Reason, spec: &Value, status: &Value) -> String {
        let one = migration("a", "Waiting", &[(types::RECONCILING, reason)], status);
        let lines = scrape(vec![samples::with(&one, json!({"spec": spec}))]);
        let found = lines.iter().find(|line| line.contains("waiting_since")).unwrap();
        found.rsplit_once(' ').unwrap().1.to_owned()
    }

    #[test]
    fn a_wait_begins_when_its_reason_does() {
        let at = |seconds: i64| samples::at(seconds).as_second().to_string();
        let run = |changes: Value| {
            let run = samples::with(&samples::record(RunKind::Apply), changes);
            json!({"lastRun": 1, "runs": [run]})
        };
        let none = json!({});
        assert_eq!(waiting(Reason::LockedByAnother, &none, &none), at(60));
        // After a wait for its start time, for which `Reconciling` was already True.
        let later = json!({"startAt": samples::time(900)});
        assert_eq!(waiting(Reason::LockedByAnother, &later, &none), at(900));
        assert_eq!(waiting(Reason::WaitingForStart, &later, &none), at(60));
        // After a wait for a dependency.
        let starting = run(json!({"result": "Starting", "requestedAt": samples::time(700)}));
        assert_eq!(waiting(Reason::Starting, &none, &starting), at(700));
        // Attempts that were put off are one wait.
        let put_off = run(json!({
            "result": "Canceled", "requestedAt": samples::time(800),
            "recordedAt": samples::time(810),
            "waitingSince": samples::time(200),
        }));
        assert_eq!(waiting(Reason::LockedByAnother, &none, &put_off), at(200));
        // Its program has ended; the record of that is what it waits for.
        let ended = run(json!({
            "result": "Succeeded", "recordedAt": samples::time(5_000),
            "waitingSince": samples::time(200), "executionTime": samples::time(300),
        }));
        assert_eq!(waiting(Reason::Recording, &none, &ended), at(5_000));
    }
}

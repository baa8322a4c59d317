//! A migration with all that a decision about it rests on, and what is expected of the decision.

use super::*;

/// What a decision rests on, owned.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) migration: Migration,
    pub(super) runnable: Result<Runnable, Problem>,
    pub(super) target: Target,
    pub(super) dependencies: Dependencies,
    pub(super) job: Option<Identified<Job>>,
    pub(super) pods: Vec<Pod>,
    pub(super) holders: Vec<Holder>,
    pub(super) namespace_ends: bool,
    pub(super) control: Option<ControlState>,
    pub(super) answers: Answers,
    pub(super) recorders: Vec<RecordJob>,
    pub(super) now: i64,
}

impl Case {
    pub(super) fn new(migration: Migration) -> Self {
        let runnable = Ok(runnable_of(&migration));
        Self {
            migration,
            runnable,
            target: target(json!({})),
            dependencies: Dependencies::default(),
            job: None,
            pods: vec![],
            holders: vec![],
            namespace_ends: false,
            control: None,
            answers: Answers::default(),
            recorders: vec![],
            now: 40,
        }
    }

    /// With runs in its history, newest first.
    pub(super) fn after(mut self, runs: Vec<RunRecord>) -> Self {
        let status = self.migration.status.get_or_insert_with(DataMigrationStatus::default);
        status.last_run = runs.first().map_or(0, |run| run.number);
        status.runs = runs;
        self
    }

    pub(super) fn with_objects(mut self, job: Option<Identified<Job>>, pods: Vec<Pod>) -> Self {
        (self.job, self.pods) = (job, pods);
        self
    }

    /// With other files in the ConfigMap.
    pub(super) fn edited(mut self) -> Self {
        let data = files(json!({"main.py": "print('other cars')"}));
        let target = target(json!({}));
        self.runnable = crate::validate::validate(&self.migration, Some(&target), None, &data);
        self
    }

    pub(super) fn situation<'a>(
        &'a self,
        pods: &'a [&'a Pod],
        answers: &'a Answers,
    ) -> Situation<'a> {
        Situation {
            migration: &self.migration,
            runnable: self.runnable.as_ref(),
            target: Some(&self.target),
            dependencies: &self.dependencies,
            objects: RunObjects { job: self.job.as_ref(), pods },
            jobs: self.job.as_slice(),
            pods: &self.pods,
            is_complete: true,
            answers,
            holders: &self.holders,
            namespace_ends: self.namespace_ends,
            recorders: &self.recorders,
            settings: &SETTINGS,
            now: at(self.now),
        }
    }

    pub(super) fn decision(&self) -> Decision {
        let pods: Vec<&Pod> = self.pods.iter().collect();
        let controls = self.control.iter().cloned().collect();
        decide(self.situation(&pods, &Answers { controls, ..self.answers.clone() }))
    }
}

pub(super) fn trying(spec: Value) -> Migration {
    migration(json!({"spec": spec}))
}

/// Where the migration comes to rest.
pub(super) fn check(case: &Case, phase: Phase, standing: Standing, reason: Reason) -> Position {
    let decision = case.decision();
    assert!(decision.rests(), "no rest: {decision:#?}");
    let position = decision.position.unwrap();
    assert_eq!((position.phase, position.standing, position.reason), (phase, standing, reason));
    position
}

/// The run that begins.
pub(super) fn begins(case: &Case, kind: RunKind, number: u32) -> RunRecord {
    let decision = case.decision();
    let [.., Action::CreateRun { run, .. }] = &*decision.actions else {
        panic!("creates nothing: {decision:#?}")
    };
    let Change::Begin(record) = &decision.change else { panic!("no begin") };
    assert_eq!(run, record);
    assert!(decision.before_status.contains(&Action::Hold), "{decision:#?}");
    assert_eq!((record.kind, record.number, record.result), (kind, number, RunResult::Starting));
    assert_eq!((record.job_uid.as_ref(), record.retry), (None, case.migration.spec.retry));
    RunRecord::clone(record)
}

pub(super) fn is_stop(case: &Case, expected: Option<StopReason>) {
    let decision = case.decision();
    assert_eq!(decision.change, Change::Nothing);
    let [.., Action::Stop { job, pods, reason }] = &*decision.actions else {
        panic!("no stop: {decision:#?}")
    };
    assert_eq!(*reason, expected);
    assert_eq!((job.as_deref(), pods), (case.job.as_ref(), &case.pods), "all of it");
}

/// Where the migration stands while its run is followed, and when the run's program began.
pub(super) fn follows(case: &Case) -> (Position, Option<Timestamp>) {
    let decision = case.decision();
    let Change::Follow { execution_time } = decision.change else { panic!("{decision:#?}") };
    (decision.position.unwrap(), execution_time)
}

/// What is sent to the guards of a run that is followed.
pub(super) fn adjusts(case: &Case) -> Option<Adjustment> {
    adjustment(&case.decision())
}

pub(super) fn adjustment(decision: &Decision) -> Option<Adjustment> {
    assert!(matches!(decision.change, Change::Follow { .. }), "{decision:#?}");
    decision.actions.iter().find_map(|action| match action {
        Action::Adjust { to, .. } => Some(to.clone()),
        _ => None,
    })
}

/// How the run ended.
pub(super) fn finishes(case: &Case) -> Outcome {
    let decision = case.decision();
    let Change::Finish(outcome) = decision.change else { panic!("{decision:#?}") };
    *outcome
}

pub(super) fn is_discarded(case: &Case) -> bool {
    case.decision().change == Change::Discard
}

pub(super) fn is_launched(case: &Case) -> bool {
    let Decision { change, actions, .. } = case.decision();
    let Change::Launch { job_uid } = change else { return false };
    matches!(&actions[..], [Action::Launch { job, .. }] if job.uid() == job_uid)
}

pub(super) fn gives_way(case: &Case) -> bool {
    matches!(case.decision().change, Change::GiveWay { .. })
}

/// Whether a migration that is being deleted goes now.
pub(super) fn is_released(case: &Case) -> bool {
    let decision = case.decision();
    decision.position.is_none() && decision.actions == [Action::ReleaseMigration]
}

pub(super) fn failed(kind: RunKind) -> RunRecord {
    RunRecord { reason: Some(Reason::ProgramFailed), ..ended(kind, RunResult::Failed) }
}

pub(super) fn numbered(number: u32, run: RunRecord) -> RunRecord {
    RunRecord { number, ..run }
}

pub(super) fn suspended_job() -> Identified<Job> {
    job(json!({"spec": {"suspend": true}}))
}

pub(super) fn not_let_go(kind: RunKind) -> RunRecord {
    RunRecord { result: RunResult::Starting, job_uid: None, ..record(kind) }
}

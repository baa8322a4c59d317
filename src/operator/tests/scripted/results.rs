//! What the containers of a run say at their end, where the fake has to say it for them.

use dm_contract::part::Part;
use dm_contract::plan::Mode;
use dm_contract::report::{GuardResult, RestoreCounts, TableEffect, TransformEnd, TransformResult};
use dm_contract::restored::{JournalProblem, RESTORE_RESULT_VERSION, RestoreResult};

/// What the guard of a run that changes two cars says.
pub fn guard_result(mode: Mode) -> GuardResult {
    GuardResult {
        requests: 3,
        write_calls_upstream: if mode == Mode::DryRun { 0 } else { 2 },
        read_calls_upstream: 1,
        items_read: 2,
        read_units: 0.5,
        write_units: 2.0,
        tables: vec![TableEffect {
            name: "cars".into(),
            items_read: 2,
            updated: 2,
            ..TableEffect::default()
        }],
        effects_digest: "sha256:effects".into(),
        ..GuardResult::empty(mode)
    }
}

/// The same of a program that sent nothing.
pub fn without_requests(result: GuardResult) -> GuardResult {
    GuardResult {
        requests: 0,
        write_calls_upstream: 0,
        items_read: 0,
        tables: Vec::new(),
        ..result
    }
}

/// The result of a part of a transform whose program ended with a code; of a whole run unchanged.
pub fn of_part(result: GuardResult, part: Option<u32>, exit_code: i32) -> GuardResult {
    let Some(index) = part else { return result };
    let end = match exit_code {
        0 => TransformEnd::Succeeded,
        3 => TransformEnd::PartiallyFailed,
        143 => TransformEnd::Interrupted,
        _ => TransformEnd::Failed,
    };
    let failed = u64::from(matches!(end, TransformEnd::PartiallyFailed | TransformEnd::Failed));
    let transform = TransformResult { end, read: 2, changed: 2, failed, ..Default::default() };
    GuardResult { part: Some(Part { index, of: 4 }), transform: Some(transform), ..result }
}

/// What a restore of a run that changed two cars says.
pub fn restore_result(mode: Mode, of: u32, finished: bool) -> RestoreResult {
    RestoreResult {
        version: RESTORE_RESULT_VERSION,
        mode,
        of,
        started_at: String::new(),
        finished_at: String::new(),
        finished,
        counts: RestoreCounts {
            items: 2,
            restored: if finished { 2 } else { 0 },
            ..RestoreCounts::default()
        },
        conflicts: 0,
        groups: Vec::new(),
        left_out: 0,
        read_units: 1.0,
        write_units: 2.0,
        journal: None,
        archived: None,
        differs: None,
        problem: (!finished).then(|| "interrupted".to_owned()),
        journal_problem: None,
        not_restored: Vec::new(),
        nothing_written: false,
    }
}

/// The same where the journal of the run is gone.
pub fn without_journal(result: RestoreResult) -> RestoreResult {
    RestoreResult {
        counts: RestoreCounts::default(),
        problem: Some("JournalGone: the journal of the run was removed".into()),
        journal_problem: Some(JournalProblem::JournalGone),
        ..result
    }
}

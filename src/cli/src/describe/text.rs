//! One migration on one screen: what, where, how it stands and why, what was tried and done. Pure.

use dm_api::migration::{OnConflict, State};
use dm_api::restore_status::{ConflictGroup, ConflictKind, RestoreStatus};
use dm_api::status::{
    AppliedReport, AttributeCounts, DryRunReport, ErrorEntry, Failure, RemarkEntry, RunKind,
    RunRecord, TableFate,
};
use dm_api::{DataMigration, MigrationTarget};
use dm_contract::restored::Conflict;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::layout::{
    age, behind, both_units, count, counted, read_units, span, table, were, wrap, write_units,
};
use crate::progress;

/// Columns that text is wrapped to: a terminal's width, as programs are written for.
const COLUMNS: usize = 100;

/// Width of the words in front of a block's lines.
const LABEL: usize = 14;

/// Returns the text, with the target if it could be seen.
pub fn text(migration: &DataMigration, target: Option<&MigrationTarget>, now: Timestamp) -> String {
    let status = migration.status.clone().unwrap_or_default();
    let mut blocks = vec![head(migration), facts(migration, target, now)];
    blocks.extend(status.failure.as_ref().map(failure));
    blocks.extend(status.dry_run.as_ref().map(dry_run));
    blocks.extend(status.applied.as_ref().map(applied));
    blocks.extend(status.restore_preview.as_ref().map(|report| restore("Restore preview", report)));
    blocks.extend(status.restored.as_ref().map(|report| restore("Restore", report)));
    blocks.extend((!status.runs.is_empty()).then(|| history(&status.runs)));
    blocks.join("\n")
}

fn head(migration: &DataMigration) -> String {
    let meta = &migration.metadata;
    let name = meta.name.as_deref().unwrap_or_default();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let description = migration.spec.description.as_deref().map(|text| wrap(text, "", COLUMNS));
    format!("{name} in {namespace}\n{}", description.unwrap_or_default())
}

fn facts(migration: &DataMigration, target: Option<&MigrationTarget>, now: Timestamp) -> String {
    let (spec, status) = (&migration.spec, migration.status.clone().unwrap_or_default());
    let standing = progress::standing(migration);
    let mut text = String::new();
    let mut fact = |label: &str, value: &str| text.push_str(&labelled(label, value));

    let phase = [standing.phase.as_str(), &standing.text];
    fact("Phase", phase.join(" · ").trim_end_matches([' ', '·']));
    // What the failure says below is not said twice.
    let told = |message: &str| {
        status.failure.as_ref().is_some_and(|failure| message.starts_with(&failure.message))
    };
    if let Some(ready) = progress::ready(migration).filter(|ready| !told(&ready.message)) {
        fact("Why", &ready.message);
    }
    if migration.status.is_none() {
        fact("", "The operator has not processed this migration yet.");
    } else if !progress::is_current(migration) {
        let older = "The operator has not processed the current spec yet; this is the status of \
                     an older one.";
        fact("", older);
    }
    for condition in &status.conditions {
        let told = ["Ready", "Reconciling", "Stalled"].contains(&condition.type_.as_str())
            || progress::ready(migration).is_some_and(|r| r.message == condition.message);
        if !told {
            fact(&condition.type_, &condition.message);
        }
    }
    fact("Requested", &requested(migration));
    fact("Target", &place(migration, target));
    fact("Program", &program(migration));
    let depends: Vec<&str> = spec.depends_on.iter().map(|other| other.name.as_str()).collect();
    if !depends.is_empty() {
        fact("Depends on", &depends.join(", "));
    }
    if let Some(time) = &spec.start_at {
        fact("Not before", &time.0.to_string());
    }
    if let Some(created) = &migration.metadata.creation_timestamp {
        fact("Age", &age(created.0, now));
    }
    if let Some(time) = &status.execution_time {
        fact("Execution", &time.0.to_string());
    }
    if let Some(time) = &status.finalization_time {
        fact("Finalization", &time.0.to_string());
    }
    text
}

fn requested(migration: &DataMigration) -> String {
    let spec = &migration.spec;
    let what = match (spec.state, spec.dry_run) {
        (State::Applied, true) => "a dry run",
        (State::Applied, false) => "an apply",
        (State::Restored, true) => "a preview of its restore",
        (State::Restored, false) => "a restore",
    };
    let mut requested = vec![what.to_owned()];
    requested.extend(
        (spec.on_conflict() == OnConflict::Overwrite).then(|| "conflicts overwritten".to_owned()),
    );
    requested.extend(spec.suspend.then(|| "suspended".to_owned()));
    requested.extend((spec.retry > 0).then(|| format!("retry {}", spec.retry)));
    requested.join(" · ")
}

fn place(migration: &DataMigration, target: Option<&MigrationTarget>) -> String {
    let name = migration.spec.target.name.clone();
    let Some(target) = target else { return name };
    let endpoint = target.spec.endpoint.clone();
    [Some(name), Some(target.spec.region.clone()), endpoint]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" · ")
}

fn program(migration: &DataMigration) -> String {
    if let Some(transform) = &migration.spec.transform {
        let pods = match migration.spec.parallelism {
            0 | 1 => String::new(),
            pods => format!(" on {pods} pods"),
        };
        return format!("transform of {}{pods}", transform.table);
    }
    match (&migration.spec.script, &migration.spec.container) {
        (Some(script), _) => {
            let what = match (&script.file, script.command.is_empty()) {
                (_, false) => script.command.join(" "),
                (Some(file), true) => file.clone(),
                (None, true) => "the script".into(),
            };
            format!("{what} of ConfigMap {} in {}", script.config_map.name, script.image)
        }
        (None, Some(container)) if container.command.is_empty() => container.image.clone(),
        (None, Some(container)) => {
            format!("{} in {}", container.command.join(" "), container.image)
        }
        (None, None) => "none".into(),
    }
}

/// A table, and what happens to itself.
fn named(table: &str, fate: Option<TableFate>) -> String {
    match fate {
        None => table.to_owned(),
        Some(TableFate::Created) => format!("{table} (table created)"),
        Some(TableFate::Updated) => format!("{table} (table changed)"),
        Some(TableFate::Deleted) => format!("{table} (table deleted)"),
        Some(TableFate::Replaced) => format!("{table} (table replaced)"),
    }
}

fn dry_run(report: &DryRunReport) -> String {
    let mut text = title(
        &format!("Dry run {} · {:?}", report.run, report.result),
        report.execution_time.as_ref(),
        report.finalization_time.as_ref(),
    );
    let Some(effects) = &report.effects else {
        return text + &line("The guard left no result.");
    };
    let rows: Vec<Vec<String>> = effects
        .tables
        .iter()
        .map(|table| {
            vec![
                named(&table.name, table.table),
                count(table.would_create),
                count(table.would_update),
                count(table.would_delete),
                attributes(&table.attributes),
            ]
        })
        .collect();
    let heads = ["TABLE", "WOULD CREATE", "WOULD UPDATE", "WOULD DELETE", "ATTRIBUTES"];
    text += &rows_or(&heads, &rows, "Nothing would change.");
    text += &line(&format!(
        "{} read with {} · {} reached the database",
        counted(effects.items_read, "item"),
        read_units(effects.read_units),
        counted(effects.write_calls_that_reached_the_database, "write call"),
    ));
    text += &line(&format!("would cost {}", write_units(effects.write_units)));
    if let Some(seconds) = effects.estimated_seconds {
        text += &line(&format!("would take at least {} s at the allowed rate", count(seconds)));
    }
    if effects.changed_underneath > 0 {
        let items = were(effects.changed_underneath, "item");
        text += &line(&format!("{items} changed by others during the run"));
    }
    text += &remarks(&effects.remarks);
    text += &errors(&effects.errors);
    if let Some(idempotent) = report.idempotent {
        text += &line(if idempotent {
            "second pass: no changes, safe to run again"
        } else {
            "second pass: it changed items again or failed, not safe to run again"
        });
    }
    if let Some(digest) = &report.digest {
        text += &line(&format!("digest {digest}"));
    }
    text
}

fn applied(report: &AppliedReport) -> String {
    let mut text = title(
        &format!("Apply {} · {:?}", report.run, report.result),
        report.execution_time.as_ref(),
        report.finalization_time.as_ref(),
    );
    if let Some(run) = &report.adopted_from {
        text += &line(&format!("Adopted from the archive: {run}. No program ran here."));
    }
    let Some(effects) = &report.effects else {
        return text
            + &line(match report.adopted_from {
                Some(_) => "The archive's ledger has no counts of it.",
                None => "The guard left no result.",
            });
    };
    // Without a journal only requests are known. An adopted run has no digest.
    let journaled = effects.tables.iter().all(|table| table.put == 0)
        && (report.digest.is_some() || report.adopted_from.is_some());
    let rows: Vec<Vec<String>> = effects
        .tables
        .iter()
        .map(|table| {
            let first = if journaled { table.created } else { table.put };
            let counts = [first, table.updated, table.deleted].map(count);
            let attributes = journaled.then(|| attributes(&table.attributes));
            let named = std::iter::once(named(&table.name, table.table));
            named.chain(counts).chain(attributes).collect()
        })
        .collect();
    let heads: &[&str] = if journaled {
        &["TABLE", "CREATED", "UPDATED", "DELETED", "ATTRIBUTES"]
    } else {
        &["TABLE", "PUT", "UPDATED", "DELETED"]
    };
    text += &rows_or(heads, &rows, "Nothing was written.");
    text += &line(&format!(
        "{} read · used {}",
        counted(effects.items_read, "item"),
        both_units(effects.write_units, effects.read_units),
    ));
    text += &remarks(&effects.remarks);
    text += &errors(&effects.errors);
    if let Some(digest) = &report.digest {
        text += &line(&format!("digest {digest}"));
    }
    text
}

fn restore(what: &str, report: &RestoreStatus) -> String {
    let mut text = title(
        &format!("{what} {} of run {} · {:?}", report.run, report.restores, report.result),
        report.execution_time.as_ref(),
        report.finalization_time.as_ref(),
    );
    let Some(effects) = &report.effects else {
        return text + &line("The restore left no result.");
    };
    let heads = ["ITEMS", "RESTORED", "DELETED", "RECREATED", "UNCHANGED", "CONFLICTS"];
    let counts = [
        effects.items,
        effects.restored,
        effects.deleted,
        effects.recreated,
        effects.unchanged,
        effects.conflicts,
    ];
    text += &indented(&table(&heads, &[counts.map(count).to_vec()]));
    for group in &effects.conflict_groups {
        let what = conflict(group).in_words(str::to_owned);
        let words =
            format!("{}: {what}, {} × {}", group.table, count(group.items), group.keys.join(" "));
        text += &line(words.trim_end());
    }
    for (uncertain, what) in [
        (effects.unverified, "journaled without a check"),
        (effects.unconfirmed, "deleted without an answer: what others added just then is lost"),
    ] {
        if uncertain > 0 {
            text += &line(&format!("{} {what}", counted(uncertain, "item")));
        }
    }
    for call in &effects.not_restored {
        text += &line(&format!("not restored: {call}"));
    }
    text + &line(&format!("used {}", both_units(effects.write_units, effects.read_units)))
}

fn failure(failure: &Failure) -> String {
    let mut text = format!("Failure of run {} · {}\n", failure.run, failure.reason);
    text += &line(&failure.message);
    if !failure.last_lines.is_empty() {
        text += "  Last lines\n";
        text += &behind("    ", failure.last_lines.iter().map(String::as_str));
    }
    text + &labelled("What now", &failure.what_now)
}

/// What status has of a conflict, as the restore found it.
fn conflict(group: &ConflictGroup) -> Conflict {
    let name = group.attribute.clone();
    match group.kind {
        ConflictKind::AttributeChanged => {
            Conflict::AttributeChanged(name.unwrap_or_else(|| "an attribute".into()))
        }
        ConflictKind::ItemChanged => Conflict::ItemChanged,
        ConflictKind::ItemDeleted => Conflict::ItemDeleted,
        ConflictKind::PlaceTaken => Conflict::PlaceTaken,
        ConflictKind::OrderUnknown => Conflict::OrderUnknown,
        ConflictKind::OnlyCopy => Conflict::OnlyCopy,
        ConflictKind::Rejected => Conflict::Rejected(name),
    }
}

fn history(runs: &[RunRecord]) -> String {
    let time = |time: &Option<Time>| time.as_ref().map(|t| t.0.to_string()).unwrap_or_default();
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            vec![
                run.number.to_string(),
                kind(run),
                format!("{:?}", run.result),
                run.reason.map(|reason| reason.to_string()).unwrap_or_default(),
                time(&run.execution_time),
                took(run.execution_time.as_ref(), run.finalization_time.as_ref())
                    .unwrap_or_default(),
                run.exit_code.map(|code| code.to_string()).unwrap_or_default(),
            ]
        })
        .collect();
    let heads = ["RUN", "KIND", "RESULT", "REASON", "EXECUTION TIME", "TOOK", "EXIT"];
    format!("Runs\n{}", indented(&table(&heads, &rows)))
}

fn kind(run: &RunRecord) -> String {
    let kind = match run.kind {
        RunKind::DryRun => "dry run",
        RunKind::Apply => "apply",
        RunKind::RestorePreview => "restore preview",
        RunKind::Restore => "restore",
    };
    match run.parallelism {
        Some(pods) => format!("{kind}, {pods} pods"),
        None => kind.to_owned(),
    }
}

fn title(what: &str, begun: Option<&Time>, ended: Option<&Time>) -> String {
    let took = took(begun, ended).map(|took| format!(" · took {took}"));
    let begun = begun.map(|time| format!(" · {}", time.0)).unwrap_or_default();
    format!("{what}{begun}{}\n", took.unwrap_or_default())
}

fn took(begun: Option<&Time>, ended: Option<&Time>) -> Option<String> {
    Some(span(ended?.0.as_second() - begun?.0.as_second()))
}

fn attributes(all: &[AttributeCounts]) -> String {
    let words = all.iter().flat_map(|attribute| {
        let kinds = [
            ("added", attribute.added),
            ("changed", attribute.changed),
            ("removed", attribute.removed),
        ];
        let seen = kinds.into_iter().filter(|(_, items)| *items > 0);
        seen.map(|(kind, items)| format!("{} {kind} {}", attribute.name, count(items)))
    });
    words.collect::<Vec<_>>().join(", ")
}

fn remarks(remarks: &[RemarkEntry]) -> String {
    let each = remarks.iter().map(|remark| {
        let RemarkEntry { operation, fidelity, why, count: times } = remark;
        // The API's value has another name than what people read everywhere.
        let fidelity = match fidelity.as_str() {
            "Refused" => "rejected".to_owned(),
            other => other.to_lowercase(),
        };
        line(&format!("{operation} {fidelity}, {} ×: {why}", count(*times)))
    });
    each.collect()
}

fn errors(errors: &[ErrorEntry]) -> String {
    let each = errors.iter().map(|each| {
        let ErrorEntry { operation, error, count: times } = each;
        line(&format!("{operation} answered with {error}, {} ×", count(*times)))
    });
    each.collect()
}

fn rows_or(heads: &[&str], rows: &[Vec<String>], none: &str) -> String {
    if rows.is_empty() { line(none) } else { indented(&table(heads, rows)) }
}

fn indented(text: &str) -> String {
    behind("  ", text.lines())
}

fn line(text: &str) -> String {
    wrap(text, "  ", COLUMNS)
}

/// A value behind its label, its further lines below its first.
fn labelled(label: &str, value: &str) -> String {
    let indent = " ".repeat(LABEL + 2);
    let wrapped = wrap(value, &indent, COLUMNS);
    let label = if label.chars().count() < LABEL {
        format!("  {label:<LABEL$}")
    } else {
        format!("  {label}\n{indent}")
    };
    label + wrapped.trim_start()
}

#[cfg(test)]
pub(crate) mod tests;

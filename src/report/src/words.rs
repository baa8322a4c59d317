//! What a report says, in sentences that every format shares.

use dm_contract::plan::Mode;
use dm_contract::report::{
    ApplyTime, Behind, ChangedAgain, Fidelity, GuardResult, Limited, TableChange, TableEffect,
};

use crate::file::{About, End, RunReport};
use crate::numbers::{both_units, count, counted, read_units, span, span_ms, write_units};
use crate::shown;
use crate::transform;

/// Tables that a sentence names; the rest is counted.
const NAMED_MAX: usize = 5;

/// Characters of a message of the guard or of a database.
const MESSAGE_CHARS_MAX: usize = 600;

/// How a sentence is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    Bad,
    Warning,
    Neutral,
    Good,
}

/// A sentence and how it is to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How it is to be taken.
    pub tone: Tone,
    pub text: String,
}

fn notice(tone: Tone, text: impl Into<String>) -> Notice {
    Notice { tone, text: text.into() }
}

/// What kind of run it was, and the fact that its reader needs first.
pub fn headline(report: &RunReport) -> Notice {
    let result = &report.result;
    let calls = counted(result.write_calls_upstream, "write call");
    let tone = if report.failed() {
        Tone::Bad
    } else if (report.is_unseen() && !report.expects_no_requests())
        || report.failed_items() > 0
        || refused(result).is_some()
    {
        Tone::Warning
    } else {
        Tone::Good
    };
    let failed = match report.failed_items() {
        0 => String::new(),
        items => format!(", {} failed", counted(items, "item")),
    };
    let text = match (result.mode, result.write_calls_upstream) {
        (Mode::DryRun, 0) if report.failed() => "Dry run failed: nothing was written".to_owned(),
        (Mode::DryRun, 0) => format!("Dry run: nothing was written{failed}"),
        (Mode::DryRun, _) => {
            let text = format!(
                "Dry run, and {calls} reached the database. This must not happen: \
                report it"
            );
            return notice(Tone::Bad, text);
        }
        (Mode::Apply, _) if report.failed() => {
            format!("Apply failed: {calls} reached the database")
        }
        (Mode::Apply, _) => format!("Applied: {calls} reached the database{failed}"),
    };
    notice(tone, text)
}

/// What changed, or would change, in a sentence.
pub fn summary(report: &RunReport) -> String {
    let result = &report.result;
    if report.is_unseen() && report.expects_no_requests() {
        return "The program sent no request to the guard, as expected.".into();
    }
    if report.is_unseen() {
        return "The program sent no request to the guard, so nothing is known of it.".into();
    }
    let changed: Vec<&TableEffect> = result.tables.iter().filter(|table| table.changes()).collect();
    let names: Vec<String> =
        changed.iter().take(NAMED_MAX).map(|table| name(&table.name)).collect();
    let place = match changed.len() {
        0 => String::new(),
        1..=NAMED_MAX => format!(" in {}", listed(&names)),
        many => format!(" in {} tables", count(many as u64)),
    };
    let [created, updated, deleted] = totals(result);
    let created_word = if report.counts_items() { "created" } else { "put" };
    let parts: Vec<String> = [(updated, "updated"), (created, created_word), (deleted, "deleted")]
        .into_iter()
        .filter(|(items, _)| *items > 0)
        .map(|(items, what)| format!("{} {what}", count(items)))
        .collect();
    let tables = changed.iter().filter(|table| table.change.is_some()).count() as u64;
    let noun = if report.counts_items() { "Items" } else { "Requests" };
    let would = if report.is_dry_run() { " that an apply would change" } else { "" };
    // One that continues after items that fail comes to its end.
    let ended_early = report.failed() && report.failed_items() == 0;
    let mut text = match (parts.is_empty(), report.is_dry_run()) {
        (true, _) if ended_early => "No item was changed before it failed.".to_owned(),
        (false, _) if ended_early => {
            format!("{noun}{would}{place} before it failed: {}.", listed(&parts))
        }
        (true, true) => "An apply would change no item.".to_owned(),
        (true, false) => "No item was changed.".to_owned(),
        (false, _) => format!("{noun}{would}{place}: {}.", listed(&parts)),
    };
    if tables > 0 {
        let would = if report.is_dry_run() { "would be" } else { "were" };
        text.push_str(&format!(" {} themselves {would} changed.", counted(tables, "table")));
    }
    text
}

/// Items created, updated and deleted in all tables.
pub fn totals(result: &GuardResult) -> [u64; 3] {
    let sum =
        |of: fn(&TableEffect) -> u64| result.tables.iter().map(of).fold(0, u64::saturating_add);
    [sum(|table| table.created), sum(|table| table.updated), sum(|table| table.deleted)]
}

/// Everything that a reader should know beside the counts, the worst first.
pub fn notices(report: &RunReport) -> Vec<Notice> {
    let result = &report.result;
    let mut all = Vec::new();
    let message = |text: &str| shown::text(text, MESSAGE_CHARS_MAX).noted();
    all.extend(result.problem.iter().map(|problem| notice(Tone::Bad, message(problem))));
    all.extend(match &result.transform {
        Some(done) => transform::ended(done).map(|text| notice(Tone::Bad, text)),
        None => report.about.as_ref().and_then(ended),
    });
    all.extend(refused(result));
    all.extend(removed(report));
    if let Some(again) = second_pass(report) {
        let tone = match again.safe {
            Some(true) => Tone::Good,
            Some(false) => Tone::Warning,
            None => Tone::Neutral,
        };
        all.push(notice(tone, sentence(&format!("second pass: {}", again.text))));
    }
    let meanwhile = result.dry_run.as_ref().map_or(0, |dry_run| dry_run.changed_underneath);
    if meanwhile > 0 {
        let items = counted(meanwhile, "item");
        let text = format!("{items} changed in the database during the dry run.");
        all.push(notice(Tone::Warning, text));
    }
    for outage in &result.outages {
        let of = match outage.of {
            Behind::Archive => "archive",
            Behind::Database => "database",
        };
        let calls = counted(outage.calls, "call");
        let lasts = if outage.lasts { " It did not recover." } else { "" };
        let text = format!("{calls} failed because the {of} did not answer.{lasts}");
        all.push(notice(if outage.lasts { Tone::Bad } else { Tone::Warning }, text));
    }
    if result.continued.is_some_and(|before| before.at_least) {
        let text = "A guard was killed during the run. Counts of items are exact; requests, calls \
                    and units are lower bounds.";
        all.push(notice(Tone::Neutral, text));
    }
    if result.gave_way.is_some() {
        let text = "The run wrote nothing: the ledger already has its outcome.";
        all.push(notice(Tone::Neutral, text));
    }
    if !report.counts_items() {
        let text =
            "There is no journal: the counts are of requests, and the run cannot be restored.";
        all.push(notice(Tone::Neutral, text));
    }
    if result.left_out > 0 {
        let text = format!("{} more tables or remarks are not counted.", result.left_out);
        all.push(notice(Tone::Warning, text));
    }
    all.sort_by_key(|notice| notice.tone);
    all
}

fn ended(about: &About) -> Option<Notice> {
    let after = about.took_ms.map(|ms| format!(" after {}", span_ms(ms))).unwrap_or_default();
    let text = match about.end? {
        End::Exited(0) | End::Stopped => return None,
        End::Exited(code) => format!("The program ended with exit code {code}{after}."),
        End::Signaled(signal) => format!("Signal {signal} ended the program{after}."),
        End::Interrupted(signal) => format!(
            "Signal {signal} asked the program to stop, and it ended with exit code 0{after}. Its \
             work may be incomplete."
        ),
    };
    Some(notice(Tone::Bad, text))
}

/// What sent the requests.
pub fn source(result: &GuardResult) -> &'static str {
    if result.transform.is_some() { "transform" } else { "program" }
}

fn refused(result: &GuardResult) -> Option<Notice> {
    let calls = |fidelity| {
        let of = result.remarks.iter().filter(|remark| remark.fidelity == fidelity);
        of.map(|remark| remark.count).fold(0, u64::saturating_add)
    };
    let refused: u64 = calls(Fidelity::Refused);
    let approximate: u64 = calls(Fidelity::Approximate);
    if refused > 0 {
        let were = if refused == 1 { "was" } else { "were" };
        let text = format!(
            "{} {were} rejected: the {} got an error, so the result may be incomplete.",
            counted(refused, "call"),
            source(result)
        );
        return Some(notice(Tone::Bad, text));
    }
    let were = if approximate == 1 { "was" } else { "were" };
    let calls = counted(approximate, "call");
    let text = format!("{calls} {were} answered approximately.");
    (approximate > 0).then(|| notice(Tone::Warning, text))
}

/// Items and tables that go.
fn removed(report: &RunReport) -> Vec<Notice> {
    let would = |one: bool| match (report.is_dry_run(), one) {
        (true, _) => "would be",
        (false, true) => "was",
        (false, false) => "were",
    };
    let mut all = Vec::new();
    let [_, _, deleted] = totals(&report.result);
    if deleted > 0 && report.counts_items() {
        let text = format!("{} {} deleted.", counted(deleted, "item"), would(deleted == 1));
        all.push(notice(Tone::Warning, text));
    }
    for table in &report.result.tables {
        let gone = matches!(table.change, Some(TableChange::Deleted | TableChange::Replaced));
        if gone {
            let name = name(&table.name);
            let text = format!("Table {name} {} deleted with all its items.", would(true));
            all.push(notice(Tone::Bad, text));
        }
    }
    all
}

/// What a second pass found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// Whether the program is safe to run again; `None` where that is not known.
    pub safe: Option<bool>,
    /// In words, without a full stop.
    pub text: String,
}

/// What a second pass found; `None` where none was asked for.
pub fn second_pass(report: &RunReport) -> Option<Again> {
    let about = report.about.clone().unwrap_or_default();
    let dry_run = report.result.dry_run.as_ref()?;
    let Some(pass) = &dry_run.second_pass else {
        let skipped = about.second_pass && about.end.is_some_and(End::failed);
        let failed = || format!("skipped, because the {} failed", source(&report.result));
        let not_run = about.second_not_run.map(|why| {
            format!("not run: {why}, so whether the program is safe to run again is not known")
        });
        let text = if skipped { Some(failed()) } else { not_run };
        return text.map(|text| Again { safe: None, text });
    };
    let who = source(&report.result);
    let why = match about.second_end {
        Some(End::Exited(code)) if code != 0 => format!("the {who} ended with exit code {code}"),
        Some(End::Signaled(signal)) => format!("signal {signal} ended the {who}"),
        Some(End::Interrupted(signal)) => format!("signal {signal} asked the {who} to stop"),
        _ if pass.is_safe().is_none() => {
            let text =
                "the program sent no request, so whether it is safe to run again is not known";
            return Some(Again { safe: None, text: text.into() });
        }
        _ if pass.idempotent => {
            let text = "no changes, safe to run again".into();
            return Some(Again { safe: Some(true), text });
        }
        _ if pass.tables.is_empty() => format!("the {who} failed the second time"),
        _ => {
            let table = |table: &ChangedAgain| {
                format!("{} in {}", counted(table.items, "item"), name(&table.name))
            };
            let tables: Vec<String> = pass.tables.iter().take(NAMED_MAX).map(table).collect();
            format!("{} would change again", tables.join(", "))
        }
    };
    Some(Again { safe: Some(false), text: format!("{why}, not safe to run again") })
}

/// What the run cost. Of a dry run: what an apply would write, how long that takes, and the read
/// units that the dry run itself used. An apply may need fewer: a dry run reads each item that
/// changes, and a journal only those that the program has not just read.
pub fn cost(result: &GuardResult) -> String {
    if result.mode == Mode::DryRun {
        let mut cost = format!("would cost {}", write_units(result.write_units));
        if let Some(time) = result.dry_run.as_ref().and_then(|dry_run| dry_run.apply_time) {
            cost += &format!(", about {}", apply_time(time));
        }
        return format!("{cost} · used {}", read_units(result.read_units));
    }
    let at_least = result.continued.is_some_and(|before| before.at_least);
    let verb = if at_least { "used at least" } else { "used" };
    format!("{verb} {}", both_units(result.write_units, result.read_units))
}

/// How long applying would take, and at which rate.
pub fn apply_time(time: ApplyTime) -> String {
    let ApplyTime { seconds, limited_by, per_second } = time;
    let span = span(i64::try_from(seconds).unwrap_or(i64::MAX));
    let what = match limited_by {
        Limited::Reads => "reads",
        Limited::Writes => "writes",
        Limited::ReadUnits => "read units",
        Limited::WriteUnits => "write units",
    };
    format!("{span} at {} {what} a second", count(per_second.into()))
}

/// What happens to a table itself.
pub fn fate(mode: Mode, change: TableChange) -> String {
    let what = match change {
        TableChange::Created => "created",
        TableChange::Updated => "changed",
        TableChange::Deleted => "deleted with all its items",
        TableChange::Replaced => "deleted with all its items and created again",
    };
    match mode {
        Mode::DryRun => format!("table would be {what}"),
        Mode::Apply => format!("table {what}"),
    }
}

/// A fact with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub label: &'static str,
    pub value: String,
}

/// Who, when, where, and what proves it.
pub fn facts(report: &RunReport) -> Vec<Fact> {
    let about = report.about.clone().unwrap_or_default();
    let result = &report.result;
    let archived = result.archived.as_ref();
    let database = about.database.or_else(|| result.database.as_ref().map(ToString::to_string));
    let journal = result.journal.as_ref().map(|journal| {
        format!("{} in {}", counted(journal.entries, "entry"), counted(journal.segments, "segment"))
    });
    [
        ("Database", database),
        ("Started", about.started_at),
        ("Ended", about.finished_at),
        ("Took", about.took_ms.map(span_ms)),
        ("By", about.by),
        ("Run", archived.map(|archived| archived.run.clone())),
        ("Journal", journal),
        ("Log", archived.and_then(|archived| archived.log.clone())),
        ("Digest", Some(result.effects_digest.clone()).filter(|digest| !digest.is_empty())),
    ]
    .into_iter()
    .filter_map(|(label, value)| {
        let value = shown::text(&value?, MESSAGE_CHARS_MAX).noted();
        Some(Fact { label, value })
    })
    .collect()
}

/// The name of a table or an attribute in a sentence.
pub fn name(name: &str) -> String {
    shown::text(name, NAME_CHARS_MAX).noted()
}

/// Characters of a name: those of a table, and of an attribute that is not there to be hostile.
const NAME_CHARS_MAX: usize = 255;

/// As `a, b and c`.
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use dm_contract::report::{Continued, TransformEnd, TransformResult};

    #[test]
    fn a_dry_run_says_first_that_nothing_was_written() {
        let report = samples::dry_run();
        assert_eq!(headline(&report), notice(Tone::Good, "Dry run: nothing was written"));
        assert_eq!(
            summary(&report),
            "Items that an apply would change in cars and makers: 406 updated, 1 created and 2 \
             deleted."
        );
        assert_eq!(notices(&report), [notice(Tone::Warning, "2 items would be deleted.")]);
        assert_eq!(
            cost(&report.result),
            "would cost 406 write units, about 3s at 200 writes a second · used 50.5 read units"
        );
    }

    #[test]
    fn a_dry_run_that_failed_or_was_not_seen_is_no_good_news() {
        let mut report = samples::dry_run();
        if let Some(about) = &mut report.about {
            about.end = Some(End::Exited(3));
        }
        assert_eq!(headline(&report), notice(Tone::Bad, "Dry run failed: nothing was written"));
        assert_eq!(
            summary(&report),
            "Items that an apply would change in cars and makers before it failed: 406 updated, 1 \
             created and 2 deleted."
        );
        let mut report = samples::dry_run();
        let failed = TransformResult { failed: 3, ..TransformResult::default() };
        report.result.transform =
            Some(TransformResult { end: TransformEnd::PartiallyFailed, ..failed });
        let text = "Dry run: nothing was written, 3 items failed";
        assert_eq!(headline(&report), notice(Tone::Warning, text));
        report.result.transform = None;
        report.result.requests = 0;
        assert_eq!(headline(&report).tone, Tone::Warning);
    }

    #[test]
    fn what_a_killed_guard_used_is_said_to_be_a_lower_bound() {
        let mut report = samples::report(Mode::Apply);
        let said = |report: &RunReport| {
            let notices = notices(report);
            let told = notices.iter().any(|notice| notice.text.contains("lower bounds"));
            (told, cost(&report.result).starts_with("used at least "))
        };
        for (at_least, expected) in [(false, (false, false)), (true, (true, true))] {
            report.result.continued = Some(Continued { guards: 1, at_least });
            assert_eq!(said(&report), expected);
        }
    }

    #[test]
    fn a_write_of_a_dry_run_is_the_worst_news() {
        let mut report = samples::dry_run();
        report.result.write_calls_upstream = 1;
        let found = headline(&report);
        assert_eq!(found.tone, Tone::Bad);
        assert!(found.text.contains("1 write call reached the database"), "{}", found.text);
    }

    #[test]
    fn the_worst_comes_first() {
        let mut report = samples::report(Mode::Apply);
        report.result.remarks = samples::remarks();
        report.result.problem = Some("a lock was lost\u{202e}".into());
        report.result.tables[0].change = Some(TableChange::Deleted);
        if let Some(about) = &mut report.about {
            about.end = Some(End::Exited(3));
        }
        let texts: Vec<String> = notices(&report).into_iter().map(|notice| notice.text).collect();
        assert_eq!(
            texts,
            [
                "a lock was lost\\u{202e}",
                "The program ended with exit code 3 after 1.2s.",
                "1 call was rejected: the program got an error, so the result may be incomplete.",
                "Table cars was deleted with all its items.",
                "There is no journal: the counts are of requests, and the run cannot be restored.",
            ]
        );
        assert_eq!(headline(&report).text, "Apply failed: 61,224 write calls reached the database");
    }

    #[test]
    fn nothing_that_changed_and_nothing_that_is_known_differ() {
        let mut report = samples::dry_run();
        report.result.tables.clear();
        assert_eq!(summary(&report), "An apply would change no item.");
        report.result.requests = 0;
        assert!(summary(&report).starts_with("The program sent no request"));
    }

    #[test]
    fn facts_are_those_that_are_known() {
        let labels = |report: &RunReport| -> Vec<&str> {
            facts(report).into_iter().map(|fact| fact.label).collect()
        };
        let mut report = samples::dry_run();
        assert_eq!(labels(&report), ["Database", "Started", "Ended", "Took", "By", "Digest"]);
        report.about = None;
        assert_eq!(labels(&report), ["Digest"]);
    }
}

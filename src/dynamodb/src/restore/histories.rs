//! Histories of one item: what the run wrote and met, what the item is now, and what a restore
//! makes of it. Values of others are 1001 and up.

use super::model::{Table, carry_out};
use super::{Conflict, OnConflict, decide};
use crate::journal::{MergedEntry, Outcome};
use crate::value::Item;

const W: Outcome = Outcome::Written;
const D: Outcome = Outcome::InDoubt;

/// How a write met and left the item, its outcome, and whether its entry is unverified.
type Write<'a> = (Option<&'a str>, Option<&'a str>, Outcome, bool);

/// An item of attributes such as `a1 b1001`: one letter and a number each.
fn item(text: &str) -> Item {
    let attribute = |word: &str| {
        let (name, value) = word.split_at(1);
        (name.to_owned(), value.parse::<i64>().unwrap().into())
    };
    let id = ("id".to_owned(), "a".into());
    text.split_whitespace().map(attribute).chain([id]).collect()
}

fn merged(writes: &[Write<'_>]) -> MergedEntry {
    let items: Vec<_> = writes.iter().map(|write| (write.0.map(item), write.1.map(item))).collect();
    let entries =
        writes.iter().zip(&items).map(|((_, _, outcome, unverified), (before, after))| {
            (before.as_ref(), after.as_ref(), *outcome, *unverified)
        });
    MergedEntry::of_entries(entries).unwrap()
}

/// Restores an item, and checks what is left and which conflicts are listed.
fn check(
    writes: &[Write<'_>],
    now: Option<&str>,
    on_conflict: OnConflict,
    expected: (Option<&str>, &[Conflict]),
) {
    let merged = merged(writes);
    let mut table: Table = now.map(|now| (0, item(now))).into_iter().collect();
    let decision = decide(&merged, table.get(&0), on_conflict);
    for write in &decision.writes {
        carry_out(&mut table, 0, &write.request());
    }
    let found = (table.remove(&0), decision.conflicts.as_slice());
    assert_eq!(found, (expected.0.map(item), expected.1), "{writes:?}, now {now:?}");
}

fn skip(writes: &[Write<'_>], now: Option<&str>, expected: (Option<&str>, &[Conflict])) {
    check(writes, now, OnConflict::Skip, expected);
}

#[test]
fn what_an_unverified_image_shows_and_the_run_did_not_leave_was_written_by_others() {
    for first in [false, true] {
        let updated = (Some("x1 y0"), Some("x2 y0"), W, first);
        let kept = (Some("x2 y1001"), Some("x3 y1001"), W, true);
        skip(&[updated, kept], Some("x3 y1001"), (Some("x1 y1001"), &[]));
        skip(&[(Some("x1"), Some("x2"), W, first), kept], Some("x3 y1001"), {
            (Some("x1 y1001"), &[])
        });
        let dropped = (Some("x2 y1001"), Some("x3"), W, true);
        skip(&[updated, dropped], Some("x3"), (Some("x1 y1001"), &[]));
        let created = (None, Some("x2"), W, first);
        let changed = [Conflict::ItemChanged];
        skip(&[created, kept], Some("x3 y1001"), (Some("x3 y1001"), &changed));
    }
}

#[test]
fn an_unverified_image_that_the_run_met_or_left_before_is_an_old_one() {
    let writes = [
        (Some("x1"), Some("x2"), W, false),
        (Some("x2"), Some("x3 z1"), W, false),
        (Some("x1"), Some("x4"), W, true),
    ];
    skip(&writes, Some("x4"), (Some("x1"), &[]));
    skip(&writes, Some("x4 y1001"), (Some("x1 y1001"), &[]));
    let created = [(None, Some("x2"), W, true), (None, Some("x3"), W, true)];
    skip(&created, Some("x3"), (None, &[]));
    // Older than what others wrote, which an earlier image shows.
    let writes = [
        (Some("x1"), Some("x2"), W, false),
        (Some("x2 y1001"), Some("x3 y1001"), W, false),
        (Some("x2"), Some("x4 y1001"), W, true),
    ];
    skip(&writes, Some("x4 y1001"), (Some("x1 y1001"), &[]));
    skip(&writes, Some("x4 y1001 z1002"), (Some("x1 y1001 z1002"), &[]));
}

#[test]
fn a_write_in_doubt_that_left_the_item_as_an_earlier_one_did_counts() {
    let doubt = (Some("s2 b1001"), Some("s2"), D, false);
    let updated = [(Some("s1"), Some("s2"), W, false), doubt];
    skip(&updated, Some("s2"), (Some("s1 b1001"), &[]));
    skip(&updated, Some("s1 b1001"), (Some("s1 b1001"), &[]));
    skip(&updated, Some("s2 b1001"), (Some("s1 b1001"), &[]));
    let created = [(None, Some("s2"), W, false), doubt];
    skip(&created, Some("s2"), (Some("s2"), &[Conflict::ItemChanged]));
}

#[test]
fn a_deletion_in_doubt_of_an_item_that_others_created_counts() {
    let doubt = (Some("b1001"), None, D, false);
    let gone = [(None, Some("x1"), W, false), (Some("x1"), None, W, false), doubt];
    skip(&gone, None, (Some("b1001"), &[]));
    skip(&gone, Some("b1001"), (Some("b1001"), &[]));
    let first = (None, Some("x1"), D, false);
    skip(&[first, doubt], None, (Some("b1001"), &[Conflict::ItemChanged]));
    // What the run had created itself, and deleted, is not the work of others.
    let own = [gone[0], gone[1], (Some("x1"), None, D, false)];
    skip(&own, None, (None, &[]));
}

#[test]
fn a_write_in_doubt_that_the_next_image_shows_is_known_for_each_attribute() {
    let changed = [Conflict::AttributeChanged("x".to_owned())];
    let doubt = (Some("x0"), Some("x2"), D, false);
    let proof = (Some("x2"), Some("x2 y1"), W, false);
    let later = (Some("x1001 y1"), Some("x1001 y2"), W, false);
    let now = Some("x1001 y2");
    skip(&[doubt, proof, later], now, (Some("x1001"), &changed));
    check(&[doubt, proof, later], now, OnConflict::Overwrite, (Some("x0"), &changed));
    // What the run left before that, written by others, is theirs.
    let writes = [(Some("x0"), Some("x1"), W, false), (Some("x1"), Some("x2"), D, false), proof];
    skip(&writes, Some("x1 y1"), (Some("x1"), &changed));
    skip(&writes, Some("x2 y1"), (Some("x0"), &[]));
    // A write that was not carried out touched nothing.
    let disproof = (Some("x0"), Some("x0 y1"), W, false);
    skip(&[doubt, disproof], Some("x1001 y1"), (Some("x1001"), &[]));
}

#[test]
fn overwriting_lists_what_others_wrote_and_the_run_itself_discarded() {
    let writes = [(None, Some("c1"), W, false), (Some("c1 b1001"), None, W, false)];
    let changed = [Conflict::ItemChanged];
    check(&writes, None, OnConflict::Overwrite, (None, &changed));
    skip(&writes, None, (Some("c1 b1001"), &changed));
    check(&writes, Some("c1 b1001"), OnConflict::Overwrite, (None, &changed));
}

#[test]
fn an_unverified_write_that_leaves_its_old_image_is_the_last_one_all_the_same() {
    let updated = [
        (Some("x1"), Some("x2"), W, false),
        (Some("x2"), Some("x3"), W, false),
        (Some("x2"), Some("x2"), W, true),
    ];
    skip(&updated, Some("x2"), (Some("x1"), &[]));
    let deleted =
        [(Some("x1"), None, W, false), (None, Some("x2"), W, false), (None, None, W, true)];
    skip(&deleted, None, (Some("x1"), &[]));
    // One that changed nothing is no reason to keep others from a deletion.
    skip(&[(Some("x1"), Some("x1"), W, true)], None, (None, &[]));
}

//! Random runs that are restored twice, with others writing before and between.

use super::*;

/// Restores a run; returns the restore's own journal, and its conflicts.
fn restore(run: &Run, table: &mut Table) -> (Run, BTreeSet<(u64, Conflict)>) {
    let (mut own, mut conflicts) = (Run::default(), BTreeSet::new());
    for (id, entry) in &run.merged {
        let decision = decide(entry, table.get(id), OnConflict::Skip);
        conflicts.extend(decision.conflicts.into_iter().map(|conflict| (*id, conflict)));
        for write in &decision.writes {
            let before = table.get(id).cloned();
            carry_out(table, *id, &write.request());
            let left = After::of(before.as_ref(), table.get(id));
            own.enter(*id, before, left, (Outcome::Written, false));
        }
    }
    (own, conflicts)
}

#[test]
fn a_second_restore_changes_only_what_the_first_one_has_left_as_a_conflict() {
    let mut restored = 0;
    for seed in 1..SEEDS {
        let random = &mut Random(seed);
        let (mut table, mut run) = (random_table(random), Run::default());
        for _ in 0..random.below(10) {
            let id = random.below(KEYS);
            run.write(random, &mut table, id);
        }
        let mut others = |table: &mut Table| {
            for _ in 0..random.below(5) {
                let id = random.below(KEYS);
                let item = random_write(random, id, table.get(&id));
                put(table, id, item);
            }
        };
        others(&mut table);
        let (first, conflicts) = restore(&run, &mut table);
        others(&mut table);
        for (id, by) in &first.merged {
            let mut entry = run.merged[id].clone();
            entry.restored(by);
            let of_it = conflicts.iter().filter(|(of, _)| of == id).map(|(_, what)| what);
            for on_conflict in [OnConflict::Skip, OnConflict::Overwrite] {
                let now = table.get(id).cloned();
                let mut after = table.clone();
                for write in &decide(&entry, now.as_ref(), on_conflict).writes {
                    carry_out(&mut after, *id, &write.request());
                }
                let names = After::of(now.as_ref(), after.get(id)).attributes;
                let is_open = |name: &String| {
                    of_it.clone().any(|conflict| match conflict {
                        // To overwrite it an item that was deleted since is recreated.
                        Conflict::AttributeChanged(other) => other == name || now.is_none(),
                        _ => true,
                    })
                };
                assert!(names.keys().all(is_open), "seed {seed}, {id}: {names:?}, {conflicts:?}");
            }
            restored += 1;
        }
    }
    assert!(restored > SEEDS, "{restored}");
}

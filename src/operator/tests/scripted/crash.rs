//! The controller dies at its k-th write, for every k: before the write arrives, or after it was
//! carried out and before its answer came. A new one takes over at once, or only after the
//! cluster has done all it can.

use serde_json::Value;

use crate::connection::{Fault, lock};
use crate::invariants::{applied, check, end_of, tried};
use crate::world::World;

/// A migration is tried, promoted and applied, with one death on the way.
async fn play(fault: Option<(usize, Fault)>, late: bool) -> World {
    let mut world = World::new();
    world.late = late;
    lock(&world.server).fault = fault;
    world.until_quiet().await;
    world.promote();
    world.until_quiet().await;
    world
}

async fn check_crash(fault: (usize, Fault), late: bool, expected: &Value) {
    let what = format!("write {} {:?}, late: {late}", fault.0, fault.1);
    let world = play(Some(fault), late).await;
    check(&world, &what);
    assert_eq!((tried(&world), applied(&world)), (1, 1), "{what}");
    assert_eq!(&end_of(&world), expected, "{what}");
}

#[tokio::test]
async fn a_death_at_any_write_changes_nothing() {
    let world = play(None, false).await;
    let expected = end_of(&world);
    let writes = lock(&world.server).write_count();
    let mut points = 0;
    for write in 1..=writes {
        for fault in [Fault::Lost, Fault::AnswerLost] {
            for late in [false, true] {
                check_crash((write, fault), late, &expected).await;
                points += 1;
            }
        }
    }
    println!("{points} kill points: {writes} writes, lost or unanswered, mended at once or late");
    assert!(writes >= 16, "only {writes} writes");
}

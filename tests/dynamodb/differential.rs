//! Random programs run against a table direct, and against an equal table in another way: through a
//! dry run, applied, and applied with a journal in each of its modes. Every answer must be equal,
//! and the tables at the end; a dry run leaves its table unchanged, and a restore of what was
//! journaled brings back what was there. A failure is shrunk by leaving out steps, and printed
//! with its seed.
//!
//! `DIFFERENTIAL_PROGRAMS` sets how many, `DIFFERENTIAL_SEED` the first seed,
//! `DIFFERENTIAL_FAILURES` how many differences are shown before it ends (1). A seed means the same
//! program as long as the generator is the same. In one program of four, several clients are at
//! work at the same time.

mod answers;
mod database;
mod expressions;
mod fixed;
mod generate;
mod legs;
mod near_limits;
mod older;
pub mod random;
mod reads;
mod statements;
mod tables;
mod writes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dm_contract::plan::JournalMode;

use crate::bed::{self, Endpoint, database};
use answers::{answer, is_known_departure, items};
use database::Database;
use generate::{CLIENTS, OTHER, Program, Step, program};
use legs::Leg;
use tables::{Place, Tables};

/// Programs run when nobody asks for more: a few seconds' worth.
const PROGRAMS: u64 = 40;

/// The same of those that are applied, of which there are four ways.
const PROGRAMS_APPLIED: u64 = 15;

/// Programs under way at once.
const WORKERS: u64 = 2;

/// Runs tried while shrinking a failure.
const SHRINK_RUNS_MAX: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn random_programs_are_answered_as_by_the_database() {
    run_programs(Leg::DryRun, |_| false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_programs_with_statements_are_answered_as_by_the_database() {
    run_programs(Leg::DryRun, |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_programs_that_are_applied_are_answered_as_by_the_database() {
    run_programs(Leg::Applied, |seed| seed % 2 == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_programs_with_a_strict_journal_see_no_difference_and_are_restored() {
    run_programs(Leg::Journaled(JournalMode::Strict), |seed| seed % 2 == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_programs_with_a_journal_ahead_see_no_difference_and_are_restored() {
    run_programs(Leg::Journaled(JournalMode::Ahead), |seed| seed % 2 == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_programs_with_a_cheap_journal_see_no_difference_and_are_restored() {
    run_programs(Leg::Journaled(JournalMode::Cheap), |seed| seed % 2 == 0).await;
}

/// `statements` says of a seed whether its program has PartiQL.
async fn run_programs(leg: Leg, statements: fn(u64) -> bool) {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let default = if leg == Leg::DryRun { PROGRAMS } else { PROGRAMS_APPLIED };
    let (count, first) = (number("DIFFERENTIAL_PROGRAMS", default), number("DIFFERENTIAL_SEED", 1));
    let shown_max = usize::try_from(number("DIFFERENTIAL_FAILURES", 1)).unwrap();
    let next = Arc::new(AtomicU64::new(first));
    let work = Work { leg, statements, until: first + count, shown_max };
    let workers: Vec<_> = (0..WORKERS).map(|_| tokio::spawn(work.run(Arc::clone(&next)))).collect();
    let (mut steps, mut shown) = (0, Vec::new());
    for worker in workers {
        let (done, differences) = worker.await.unwrap();
        steps += done;
        shown.extend(differences);
    }
    assert!(shown.is_empty(), "{} differences\n{}", shown.len(), shown.join("\n"));
    println!("{leg:?}: {count} programs from seed {first}, {steps} steps: no difference");
}

/// What each worker does.
#[derive(Clone, Copy)]
struct Work {
    leg: Leg,
    statements: fn(u64) -> bool,
    until: u64,
    shown_max: usize,
}

impl Work {
    /// Runs programs until there are no more; their steps, and the differences.
    async fn run(self, next: Arc<AtomicU64>) -> (usize, Vec<String>) {
        let (mut steps, mut shown) = (0, Vec::new());
        let mut tables = Tables::default();
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= self.until {
                return (steps, shown);
            }
            let database = Database::under_test();
            let program = program(seed, (self.statements)(seed), self.leg, database);
            steps += program.steps.len();
            if let Some(difference) = run(&program, self.leg, &mut tables).await {
                let (smallest, difference) =
                    shrink(program, difference, self.leg, &mut tables).await;
                shown.push(describe(seed, &smallest, &difference));
                println!("{}", shown[shown.len() - 1]);
                if shown.len() >= self.shown_max {
                    next.store(self.until, Ordering::SeqCst);
                }
            }
        }
    }
}

fn describe(seed: u64, smallest: &Program, difference: &str) -> String {
    let seeds = smallest.seeds.iter().map(|item| format!("  seed $T {item}\n"));
    let others = smallest.other_seeds.iter().map(|item| format!("  seed $U {item}\n"));
    let seeds: String = seeds.chain(others).collect();
    let listed: String = smallest
        .steps
        .iter()
        .map(|step| {
            let how = if step.pages { "pages" } else { ">" };
            let client = if step.client > 0 { step.client.to_string() } else { String::new() };
            format!("  {client}{how} {} {}\n", step.operation, step.body)
        })
        .collect();
    format!("DIFFERENTIAL_SEED={seed}, a {} table:\n{seeds}{listed}{difference}", smallest.table)
}

/// Leaves out steps and seeds as long as a difference stays.
async fn shrink(
    mut program: Program,
    mut difference: String,
    leg: Leg,
    tables: &mut Tables,
) -> (Program, String) {
    let mut runs = 0;
    let without = Program { other_seeds: Vec::new(), ..program.clone() };
    if let Some(still) = run(&without, leg, tables).await {
        (program, difference) = (without, still);
    }
    let mut size = program.steps.len().max(program.seeds.len());
    while size > 0 {
        let mut at = 0;
        while at < program.steps.len() + program.seeds.len() && runs < SHRINK_RUNS_MAX {
            let mut smaller = program.clone();
            if at < program.steps.len() {
                smaller.steps.drain(at..(at + size).min(program.steps.len()));
            } else {
                let from = at - program.steps.len();
                smaller.seeds.drain(from..(from + size).min(program.seeds.len()));
            }
            runs += 1;
            match run(&smaller, leg, tables).await {
                Some(still) => (program, difference) = (smaller, still),
                None => at += size,
            }
        }
        size /= 2;
    }
    (program, difference)
}

/// A program's two tables on one side, and its run.
struct Names {
    first: String,
    other: String,
    run: String,
}

impl Names {
    /// A request with the names in it.
    fn put_into(&self, text: &str) -> String {
        text.replace("$T", &self.first).replace("$U", &self.other).replace("$R", &self.run)
    }

    /// An answer without them, so that it can be compared.
    fn take_out_of(&self, text: &str) -> String {
        text.replace(&self.first, "$T").replace(&self.other, "$U")
    }

    /// What is in both tables.
    async fn items(&self, endpoint: &Endpoint) -> [Vec<String>; 2] {
        [items(endpoint, &self.first).await, items(endpoint, &self.other).await]
    }
}

/// Runs a program on both sides; the first difference, if there is one.
async fn run(program: &Program, leg: Leg, tables: &mut Tables) -> Option<String> {
    let database = database();
    let (first, first_beside) =
        tables.filled(&database, program.table, Place::First, &program.seeds).await;
    let (other, other_beside) =
        tables.filled(&database, OTHER, Place::Other, &program.other_seeds).await;
    let plain = Names { first, other, run: bed::fresh_name("run") };
    let beside = Names { first: first_beside, other: other_beside, run: bed::fresh_name("run") };
    let before = beside.items(&database).await;
    let running = leg.begin().await;
    let mut difference = None;
    // Steps of clients that come one after another are done at the same time.
    for round in program.steps.chunk_by(|one, other| one.client > 0 && other.client > 0) {
        let expected = answers(round, &plain, &database).await;
        let found = answers(round, &beside, running.endpoint()).await;
        let differing = expected.iter().zip(&found).find(|((_, expected), (_, found))| {
            expected != found && !is_known_departure(expected, found)
        });
        if let Some(((step, expected), (_, found))) = differing {
            difference = Some(format!(
                "client {} {} {}\n  direct {expected}\n  {leg:?} {found}",
                step.client, step.operation, step.body
            ));
            break;
        }
    }
    let (expected, found) = (plain.items(&database).await, beside.items(running.endpoint()).await);
    if difference.is_none() && expected != found {
        difference = Some(format!(
            "the tables differ at the end\n  direct {expected:?}\n  {leg:?} {found:?}"
        ));
    }
    let left = running.end(&beside, &before).await;
    difference = difference.or(left);
    tables.empty(&database, program.table, Place::First).await;
    tables.empty(&database, OTHER, Place::Other).await;
    difference
}

/// What the clients are answered, client by client.
async fn answers<'a>(
    round: &'a [Step],
    names: &Names,
    endpoint: &Endpoint,
) -> Vec<(&'a Step, String)> {
    let of_client = |client: u8| async move {
        let mut answered = Vec::new();
        for step in round.iter().filter(|step| step.client == client) {
            answered.push((step, answer(step, names, endpoint).await));
        }
        answered
    };
    futures::future::join_all((0..=CLIENTS).map(of_client)).await.concat()
}

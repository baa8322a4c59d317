//! Restores over a real database: others who wrote since keep what they wrote.

mod again;
mod conflicts;
mod copies;
mod overrun;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dm_contract::plan::OnConflict;
use dm_contract::plan::{Mode, Plan, Policy, RateLimits};
use dm_contract::restored::Conflict;
use dm_engine::archive::ledger::{self, Kind, RunOutcome};
use dm_engine::archive::{Archive, RunName};
use dm_engine::restore::{Restore, RestoreError, RestoreOptions, RestoreReport};
use dm_engine::{Call, Engine, Operation};
use object_store::memory::InMemory;
use serde_json::{Value, json};

use crate::bed::{self, database, fresh_name};
use crate::shorthand::expand;

struct Bed {
    table: String,
    archive: Archive,
    plan: Plan,
}

impl Bed {
    async fn new(kind: &str, seeds: &[Value]) -> Self {
        let table = fresh_name("restore");
        database().ok("CreateTable", &crate::suite::table(kind, &table)).await;
        let bed = {
            let mut plan = bed::plan(Mode::Apply, Policy::default());
            plan.archive = Some(bed::archive("memory://"));
            Self { table, archive: Archive::over(Arc::new(InMemory::new())), plan }
        };
        for seed in seeds {
            bed.others("PutItem", json!({"Item": seed})).await;
        }
        bed
    }

    fn body(&self, body: &Value) -> Value {
        let mut body = expand(body);
        body["TableName"] = self.table.as_str().into();
        body
    }

    /// A write of somebody else.
    async fn others(&self, operation: &str, body: Value) {
        database().ok(operation, &self.body(&body)).await;
    }

    /// The migration's writes, as run 1.
    async fn migrate(&self, writes: &[(&str, Value)]) {
        self.migrate_as(1, writes).await;
    }

    async fn migrate_as(&self, number: u32, writes: &[(&str, Value)]) {
        let (mut plan, archive) = (self.plan.clone(), Some(self.archive.clone()));
        plan.run.number = number;
        plan.archive.as_mut().unwrap().overrule = number - 1;
        let engine = Arc::new(Engine::open(&plan, bed::options(archive)).unwrap());
        for (operation, body) in writes {
            let Value::Object(body) = self.body(body) else { unreachable!() };
            let operation = Operation::named(operation).unwrap();
            let answer = engine.handle(Call::new(operation, body)).await;
            assert_eq!(answer.status, 200, "{operation:?}: {answer:?}");
        }
        assert!(engine.close().await);
    }

    async fn restore(&self, of: u32, own: u32, mode: Mode, on: OnConflict) -> RestoreReport {
        let mut plan = Plan { mode, ..self.plan.clone() };
        plan.run.number = own;
        let options = RestoreOptions::new(bed::credentials(), self.archive.clone(), of);
        let options = RestoreOptions { on_conflict: on, ..options };
        Restore::open(&plan, options).unwrap().run().await.unwrap()
    }

    async fn items(&self) -> Vec<Value> {
        database().items(&self.table).await
    }
}

fn set(id: &str, attribute: &str, value: &Value) -> Value {
    json!({"Key": {"id": id}, "UpdateExpression": "SET #a = :v",
        "ExpressionAttributeNames": {"#a": attribute}, "ExpressionAttributeValues": {":v": value}})
}

#[tokio::test(flavor = "multi_thread")]
async fn cars_lose_their_prices_but_for_two_that_others_changed_and_keep_ten_new_colours() {
    let ids: Vec<String> = (0..120).map(|i| format!("car-{i:03}")).collect();
    let cars: Vec<Value> =
        ids.iter().map(|id| json!({"id": id, "color": "red", "brand": "x"})).collect();
    let bed = Bed::new("hash", &cars).await;
    let priced: Vec<(&str, Value)> =
        ids.iter().map(|id| ("UpdateItem", set(id, "price", &json!(100)))).collect();
    bed.migrate(&priced).await;
    for id in &ids[..10] {
        bed.others("UpdateItem", set(id, "color", &json!("blue"))).await;
    }
    for id in &ids[..2] {
        bed.others("UpdateItem", set(id, "price", &json!(999))).await;
    }
    let left = bed.items().await;

    let preview = bed.restore(1, 2, Mode::DryRun, OnConflict::Skip).await;
    assert_eq!((preview.counts.restored, preview.conflicts, preview.counts.unchanged), (118, 2, 2));
    assert_eq!(bed.items().await, left, "a preview writes nothing");
    assert!(ledger::entries(&bed.archive, None).await.unwrap().len() == 1);

    let report = bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    assert_eq!(
        (report.counts.items, report.counts.restored, report.conflicts, &report.listed),
        (preview.counts.items, preview.counts.restored, preview.conflicts, &preview.listed)
    );
    assert_eq!(report.listed[0].conflict, Conflict::AttributeChanged("price".into()));
    let expected = |overwritten: bool| -> Vec<Value> {
        let mut cars = cars.clone();
        for (at, car) in cars.iter_mut().enumerate() {
            if at < 10 {
                car["color"] = "blue".into();
            }
            if at < 2 && !overwritten {
                car["price"] = 999.into();
            }
        }
        cars.iter().map(|car| expand(&json!({"Item": car}))["Item"].take()).collect()
    };
    assert_eq!(bed.items().await, expected(false));

    let again = bed.restore(1, 3, Mode::Apply, OnConflict::Skip).await;
    assert_eq!((again.counts.restored, again.conflicts), (0, 2), "repeated without effect");
    assert_eq!(bed.items().await, expected(false));

    // A restore is a run, and can be restored itself.
    bed.restore(2, 4, Mode::Apply, OnConflict::Skip).await;
    assert_eq!(bed.items().await, left);
    let forced = bed.restore(1, 5, Mode::Apply, OnConflict::Overwrite).await;
    assert_eq!((forced.counts.restored, forced.conflicts), (120, 2));
    assert_eq!(bed.items().await, expected(true));

    let entries = ledger::entries(&bed.archive, None).await.unwrap();
    let kinds: Vec<Kind> = entries.iter().map(|entry| entry.begun.kind.clone()).collect();
    let restores = [1, 1, 2, 1].map(Kind::Restore);
    assert_eq!(kinds, [vec![Kind::Apply], restores.to_vec()].concat());
    let outcome = |at: usize| entries[at].completed.as_ref().map(|completed| completed.outcome);
    assert_eq!((outcome(0), outcome(1)), (None, Some(RunOutcome::Succeeded)));
    let run = RunName::new(entries[1].run.migration(), 2).unwrap();
    assert!(bed.archive.get(&run.conflicts()).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_items_than_are_restored_at_once_are_restored_to_the_last() {
    let bed = Bed::new("hash", &[]).await;
    let created: Vec<(&str, Value)> = (0..1_000)
        .map(|i| ("PutItem", json!({"Item": {"id": format!("car-{i:04}"), "brand": "x"}})))
        .collect();
    bed.migrate(&created).await;
    assert_eq!(bed.items().await.len(), created.len());
    let restore = bed.restore(1, 2, Mode::Apply, OnConflict::Skip);
    // Much longer than it takes: a restore that stands still never ends by itself.
    let report = tokio::time::timeout(std::time::Duration::from_secs(120), restore).await.unwrap();
    assert_eq!((report.counts.items, report.counts.deleted, report.conflicts), (1_000, 1_000, 0));
    assert_eq!(bed.items().await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn items_moved_to_other_keys_come_back() {
    let seeds: Vec<Value> = (0..5).map(|i| json!({"id": "old", "pos": i, "v": i})).collect();
    let bed = Bed::new("range", &seeds).await;
    let before = bed.items().await;
    let mut writes = Vec::new();
    for i in 0..5 {
        writes.push(("PutItem", json!({"Item": {"id": "new", "pos": i, "v": i, "moved": true}})));
        writes.push(("DeleteItem", json!({"Key": {"id": "old", "pos": i}})));
    }
    bed.migrate(&writes).await;
    let set_w = "SET w = :w";
    let update = json!({"Key": {"id": "new", "pos": 0}, "UpdateExpression": set_w,
        "ExpressionAttributeValues": {":w": 1}});
    bed.others("UpdateItem", update).await;
    bed.others("PutItem", json!({"Item": {"id": "old", "pos": 1, "mine": true}})).await;
    let report = bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    assert_eq!((report.counts.deleted, report.counts.recreated, report.conflicts), (3, 4, 3));
    let conflicts: Vec<&Conflict> = report.listed.iter().map(|listed| &listed.conflict).collect();
    for conflict in [Conflict::ItemChanged, Conflict::PlaceTaken, Conflict::OnlyCopy] {
        assert!(conflicts.contains(&&conflict), "{conflicts:?}");
    }
    bed.restore(1, 3, Mode::Apply, OnConflict::Overwrite).await;
    assert_eq!(bed.items().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_restored_wholly_or_not_at_all_where_the_policy_allows_fewer_tables() {
    let bed = Bed::new("hash", &[json!({"id": "a", "v": 1})]).await;
    bed.migrate(&[("UpdateItem", set("a", "v", &json!(2)))]).await;
    let changed = bed.items().await;
    for mode in [Mode::DryRun, Mode::Apply] {
        let mut plan = Plan { mode, ..bed.plan.clone() };
        plan.run.number = 2;
        plan.policy.tables = vec!["others-*".into()];
        let options = RestoreOptions::new(bed::credentials(), bed.archive.clone(), 1);
        let error = Restore::open(&plan, options).unwrap().run().await.unwrap_err().to_string();
        for part in [&bed.table, "does not allow", "nothing was restored"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(bed.items().await, changed);
    }
    let report = bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    assert_eq!(report.counts.restored, 1);
}

/// A transaction that moves an item and changes it, so that nothing but the transaction connects
/// the two.
fn moved(bed: &Bed, id: &str) -> (&'static str, Value) {
    let table = &bed.table;
    let new = json!({"id": format!("{id}-new"), "v": 2});
    let actions = [
        json!({"Put": {"TableName": table, "Item": new}}),
        json!({"Delete": {"TableName": table, "Key": {"id": id}}}),
    ];
    ("TransactWriteItems", json!({"TransactItems": actions}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_item_stays_where_it_is_while_its_former_place_is_taken() {
    let seeds = ["a", "b"].map(|id| json!({"id": id, "v": 1}));
    let bed = Bed::new("hash", &seeds).await;
    let before = bed.items().await;
    bed.migrate(&[moved(&bed, "a"), moved(&bed, "b")]).await;
    bed.others("PutItem", json!({"Item": {"id": "a", "others": true}})).await;

    let preview = bed.restore(1, 2, Mode::DryRun, OnConflict::Skip).await;
    let report = bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    for report in [&preview, &report] {
        let listed: Vec<String> = report
            .listed
            .iter()
            .map(|one| format!("{} {:?}", one.key.as_ref().unwrap()["id"]["S"], one.conflict))
            .collect();
        assert_eq!(listed, ["\"a\" PlaceTaken", "\"a-new\" OnlyCopy"]);
        assert_eq!((report.counts.deleted, report.counts.recreated), (1, 1));
    }
    let mut ids: Vec<Value> =
        bed.items().await.iter().map(|item| item["id"]["S"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, ["a", "a-new", "b"]);

    // Once the place is free, a further restore brings the item back and deletes its copy.
    bed.others("DeleteItem", json!({"Key": {"id": "a"}})).await;
    let report = bed.restore(1, 3, Mode::Apply, OnConflict::Skip).await;
    assert_eq!((report.conflicts, report.counts.deleted, report.counts.recreated), (0, 1, 1));
    assert_eq!(bed.items().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_of_hundreds_of_attributes_is_restored_in_parts() {
    let names: Vec<String> = (0..350).map(|i| format!("attribute-{i}")).collect();
    let mut wide = json!({"id": "wide"});
    for name in &names {
        wide[name] = 1.into();
    }
    let bed = Bed::new("hash", &[wide]).await;
    let before = bed.items().await;
    bed.migrate(&[("PutItem", json!({"Item": {"id": "wide", "attribute-0": 2, "new": true}}))])
        .await;
    let report = bed.restore(1, 2, Mode::Apply, OnConflict::Skip).await;
    assert_eq!((report.counts.restored, report.conflicts), (1, 0));
    assert_eq!(bed.items().await, before);
}

/// A run that gave a price to this many items, how they were before, and a plan to take it back.
async fn prices(count: u32) -> (Bed, Vec<Value>, Plan) {
    let ids: Vec<String> = (0..count).map(|i| format!("car-{i:03}")).collect();
    let cars: Vec<Value> = ids.iter().map(|id| json!({"id": id, "color": "red"})).collect();
    let bed = Bed::new("hash", &cars).await;
    let before = bed.items().await;
    let priced: Vec<(&str, Value)> =
        ids.iter().map(|id| ("UpdateItem", set(id, "price", &json!(100)))).collect();
    bed.migrate(&priced).await;
    let mut plan = Plan { mode: Mode::Apply, ..bed.plan.clone() };
    plan.run.number = 2;
    (bed, before, plan)
}

fn restore_of(bed: &Bed, plan: &Plan) -> Restore {
    Restore::open(plan, bed::restore_options(bed.archive.clone())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_goes_no_faster_than_its_limits() {
    let none = RateLimits::default;
    let writes = || RateLimits { writes_per_second: Some(20), ..none() };
    let units = RateLimits { write_units_per_second: Some(20), ..none() };
    for (limits, limits_max) in [(writes(), none()), (none(), writes()), (units, none())] {
        let (bed, before, plan) = prices(60).await;
        let plan = Plan { limits, limits_max, ..plan };
        let begun = Instant::now();
        assert_eq!(restore_of(&bed, &plan).run().await.unwrap().counts.restored, 60);
        // Three seconds, but for what may be under way at once.
        let (took, how) = (begun.elapsed(), (&plan.limits, &plan.limits_max));
        assert!(took > Duration::from_millis(1_900), "{took:?} at {how:?}");
        assert_eq!(bed.items().await, before);
    }
    let reads = RateLimits { reads_per_second: Some(100), ..none() };
    let (bed, _, plan) = prices(220).await;
    let begun = Instant::now();
    let preview = Plan { limits: reads, mode: Mode::DryRun, ..plan };
    assert_eq!(restore_of(&bed, &preview).run().await.unwrap().counts.restored, 220);
    assert!(begun.elapsed() > Duration::from_millis(1_800), "the third page waits for two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_restore_that_is_told_to_stop_stops_and_goes_on_later() {
    let (bed, before, plan) = prices(60).await;
    let slow = RateLimits { writes_per_second: Some(1), ..RateLimits::default() };
    let restore = restore_of(&bed, &Plan { limits: slow, ..plan.clone() });
    let stop = async {
        while restore.report().counts.restored < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        restore.stop();
        Instant::now()
    };
    let (ended, stopped) = tokio::join!(restore.run(), stop);
    assert!(matches!(ended, Err(RestoreError::Interrupted)), "{ended:?}");
    assert!(stopped.elapsed() < Duration::from_secs(5), "nothing waits for its turn any more");
    let half = bed.items().await;
    assert!(half != before && half.iter().filter(|item| item.get("price").is_some()).count() > 50);
    restore_of(&bed, &plan).run().await.unwrap();
    assert_eq!(bed.items().await, before);
}

/// Two restores began under the same number; the first one's entry is in the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_restores_says_that_another_one_was_begun() {
    let bed = Bed::new("hash", &[json!({"id": "a"})]).await;
    bed.migrate(&[("UpdateItem", set("a", "price", &json!(1)))]).await;
    let left = bed.items().await;
    let mut plan = bed.plan.clone();
    plan.run.number = 2;
    let begin = |uid: &str| {
        let mut plan = plan.clone();
        plan.run.uid = uid.to_owned();
        Restore::open(&plan, bed::restore_options(bed.archive.clone())).unwrap()
    };
    let of_another = ledger::Begun::now(&plan, Kind::Restore(1));
    let run = RunName::new(&plan.archive.as_ref().unwrap().migration, 2).unwrap();
    ledger::begin(&bed.archive, &run, &of_another).await.unwrap();
    let error = begin("second").run().await.unwrap_err();
    assert!(matches!(error, RestoreError::Begin(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("another restore of the run was begun"), "{said}");
    assert!(!said.contains("of table"), "{said}");
    assert_eq!(bed.items().await, left, "it has written nothing");
}

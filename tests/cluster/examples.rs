//! Every worked example in migrations/ runs as its README says: tried, then applied, on real cars.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use dm_api::condition::Reason;
use dm_api::status::Phase;
use dm_tests::cluster::{Bed, TARGET, effects, failure, variable};
use serde_json::{Value, json};

/// Some of the 406 cars of vega-datasets, the odd ones among them: two without an mpg, two without
/// horsepower, brands in several spellings, and the two that are called just "subaru".
const CARS: &str = include_str!("programs/cars_of_vega_datasets.json");

/// Each folder of migrations/ with a migration in it.
const EXAMPLES: &[&str] = &[
    "0001-add-price-to-cars",
    "0002-normalize-origin",
    "0003-index-cars-by-maker",
    "0004-fuel-economy-from-csv",
    "0005-split-name",
];

/// How many makers these cars have, once the spellings are brought together.
const MAKERS: u64 = 14;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder").to_owned()
}

/// A bed with the cars, and the table that one of the examples fills.
async fn bed_with_cars(test: &str) -> (Bed, Vec<Value>) {
    let bed = Bed::new(test).await;
    bed.database.table("cars", "id").await;
    bed.database.table("makers", "maker").await;
    let cars: Vec<Value> = serde_json::from_str(CARS).unwrap();
    bed.database.put("cars", &cars).await;
    (bed, cars)
}

/// Applies an example with kubectl as its README says, by an overlay of our own: another target,
/// and images that this cluster has.
fn apply(bed: &Bed, example: &str) {
    let folder = root().join("target/cluster-tests").join(&bed.namespace);
    fs::create_dir_all(&folder).unwrap();
    let mut overlay = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\n\
         kind: Kustomization\n\
         resources: [../../../migrations/{example}/base]\n\
         patches:\n\
         - patch: |\n\
         \x20   apiVersion: datamigration.dev/v1alpha1\n\
         \x20   kind: DataMigration\n\
         \x20   metadata: {{name: {example}}}\n\
         \x20   spec: {{target: {{name: {TARGET}}}}}\n\
         images:\n"
    );
    let images = [
        ("migrations-python", "DM_IMAGE_PYTHON"),
        ("migrations-node", "DM_IMAGE_NODE"),
        ("index-cars-by-maker", "DM_IMAGE_PROGRAM"),
    ];
    for (name, image) in images {
        let image = variable(image);
        let (image, tag) = image.rsplit_once(':').expect("a tag");
        writeln!(overlay, "- {{name: {name}, newName: {image}, newTag: {tag}}}").unwrap();
    }
    fs::write(folder.join("kustomization.yaml"), overlay).unwrap();
    bed.kubectl(&["apply", "--kustomize", folder.to_str().expect("a path in Unicode")]);
    fs::remove_dir_all(folder).unwrap();
}

/// Tries an example, promotes it, and compares what was announced with what was done.
async fn is_tried_and_applied(bed: &Bed, example: &str, announced: (&str, u64, u64)) {
    let (table, created, updated) = announced;
    let before = bed.database.items(table).await;
    apply(bed, example);
    let tried = bed.phase(example, Phase::DryRunOk).await;
    assert_eq!(bed.database.items(table).await, before, "byte for byte as before");
    let effects = effects(&tried);
    assert_eq!(effects.write_calls_that_reached_the_database, 0);
    let would = effects.tables.iter().find(|found| found.name == table).expect("the table");
    assert_eq!((would.would_create, would.would_update), (created, updated));
    assert_eq!((effects.tables.len(), would.would_delete), (1, 0));
    bed.patch(example, &json!({"spec": {"dryRun": false}})).await;
    bed.phase(example, Phase::Applied).await;
    let after = bed.database.items(table).await;
    let different = after.iter().filter(|item| !before.contains(item)).count();
    assert_eq!(different as u64, created + updated);
    assert_eq!((after.len() - before.len()) as u64, created);
}

#[test]
fn no_example_is_forgotten() {
    let mut found: Vec<String> = fs::read_dir(root().join("migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("base").is_dir())
        .map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, EXAMPLES);
}

#[tokio::test]
async fn a_price_for_every_car() {
    let (bed, cars) = bed_with_cars("example-1").await;
    is_tried_and_applied(&bed, EXAMPLES[0], ("cars", 0, cars.len() as u64)).await;
    for car in bed.database.scan("cars").await {
        assert!(car["price"]["N"].is_string(), "{car}");
    }
    bed.done().await;
}

#[tokio::test]
async fn a_code_for_every_origin() {
    let (bed, cars) = bed_with_cars("example-2").await;
    is_tried_and_applied(&bed, EXAMPLES[1], ("cars", 0, cars.len() as u64)).await;
    for car in bed.database.scan("cars").await {
        assert!(["US", "EU", "JP"].contains(&car["origin"]["S"].as_str().unwrap()), "{car}");
    }
    bed.done().await;
}

#[tokio::test]
async fn an_index_of_makers() {
    let (bed, _) = bed_with_cars("example-3").await;
    is_tried_and_applied(&bed, EXAMPLES[2], ("makers", MAKERS, 0)).await;
    let maker = bed.database.item("makers", "maker", "subaru").await;
    let years = (&maker["cars"]["N"], &maker["first_year"]["N"], &maker["last_year"]["N"]);
    assert_eq!(years, (&json!("2"), &json!("1974"), &json!("1982")));
    bed.done().await;
}

#[tokio::test]
async fn fuel_economy_with_a_data_file() {
    let (bed, cars) = bed_with_cars("example-4").await;
    let with_mpg = cars.iter().filter(|car| car["mpg"]["N"].is_string()).count();
    is_tried_and_applied(&bed, EXAMPLES[3], ("cars", 0, with_mpg as u64)).await;
    let car = bed.database.item("cars", "id", "subaru-1974-1").await;
    // Whether a zero at the end is kept depends on the database.
    let litres: f64 = car["litres_per_100_km"]["N"].as_str().unwrap().parse().unwrap();
    assert!((litres - 9.0).abs() < 0.01, "{car}");
    bed.done().await;
}

#[tokio::test]
async fn a_migration_that_fails_half_way() {
    let (bed, cars) = bed_with_cars("example-5").await;
    apply(&bed, EXAMPLES[4]);
    let failed = bed.phase(EXAMPLES[4], Phase::DryRunFailed).await;
    let failure = failure(&failed);
    assert_eq!((failure.reason, failure.exit_code), (Reason::ProgramFailed, Some(3)));
    let last = failure.last_lines.last().unwrap();
    assert_eq!(last, "KeyError: 'model' (subaru-1974-1)");
    let would = &effects(&failed).tables[0];
    assert!(
        would.would_update > 0 && would.would_update < cars.len() as u64,
        "half way: {would:?}"
    );
    assert!(failure.message.contains("nothing was written"), "{}", failure.message);
    bed.done().await;
}

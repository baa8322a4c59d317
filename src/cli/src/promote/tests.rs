//! Promotion against a scripted API server.

use std::sync::{Arc, Mutex};

use super::*;
use crate::describe::text::tests::{dry_run_succeeded, migration};
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// A cluster with one migration; it keeps the patches it is sent.
fn cluster(migration: DataMigration) -> (Cluster, Arc<Mutex<Vec<Value>>>) {
    let patches = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&patches);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (migration, kept) = (migration.clone(), Arc::clone(&kept));
        async move {
            if request.method() == http::Method::PATCH {
                let body = request.into_body().collect_bytes().await.unwrap();
                kept.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            }
            let body = Body::from(serde_json::to_vec(&migration).unwrap());
            Ok::<_, std::convert::Infallible>(Response::new(body))
        }
    });
    (Cluster { client: Client::new(service, "shop"), namespace: "shop".into() }, patches)
}

/// Promotes without asking: the patches sent, or the refusal.
async fn promoted(migration: DataMigration, force: bool) -> Result<Vec<Value>, String> {
    let (cluster, patches) = cluster(migration);
    let flags = Flags {
        name: "0001-add-price".into(),
        yes: true,
        force,
        cluster: cluster::Flags::default(),
    };
    promote_in(&cluster, &flags).await.map_err(|error| error.to_string())?;
    let patches = patches.lock().unwrap();
    Ok(patches.clone())
}

/// Status of a successful dry run, with one field changed.
fn but(path: &str, value: Value) -> DataMigration {
    let mut status = dry_run_succeeded();
    *status.pointer_mut(path).unwrap() = value;
    migration(json!({}), status)
}

#[tokio::test]
async fn a_dry_run_that_succeeded_is_promoted_as_it_was_read() {
    let patches = promoted(migration(json!({}), dry_run_succeeded()), false).await.unwrap();
    assert_eq!(
        patches,
        [json!({"metadata": {"resourceVersion": "77"}, "spec": {"dryRun": false}})]
    );
}

#[tokio::test]
async fn what_was_promoted_is_left_alone() {
    let migration = migration(json!({"dryRun": false}), Value::Null);
    assert_eq!(promoted(migration, false).await.unwrap(), Vec::<Value>::new());
}

#[tokio::test]
async fn anything_else_is_refused_unless_forced() {
    let none = migration(json!({}), json!({"observedGeneration": 3}));
    for (migration, why) in [
        (but("/observedGeneration", json!(2)), "its status is of an older spec"),
        (but("/dryRun/result", json!("Failed")), "its last dry run, run 1, did not succeed"),
        (but("/runs/0/result", json!("Running")), "run 1 is under way"),
        (but("/phase", json!("Suspended")), "it is Suspended: The dry run read"),
        (none, "there was no dry run yet"),
    ] {
        let refusal = promoted(migration.clone(), false).await.unwrap_err();
        let expected = format!("0001-add-price is not promoted: {why}");
        assert!(refusal.starts_with(&expected), "{refusal}");
        assert_eq!(promoted(migration, true).await.unwrap().len(), 1);
    }
}

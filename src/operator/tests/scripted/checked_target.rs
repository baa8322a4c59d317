//! The check of a target against the scripted API server: which calls are made, and that neither a
//! crash at any write nor somebody's Job of the same name makes two checks or a wrong status.

use std::sync::Arc;
use std::time::Duration;

use dm_api::agent_resources::AgentResources;
use dm_operator::metrics::Metrics;
use dm_operator::objects::Settings;
use dm_operator::target::TargetContext;
use dm_operator::target::reconcile::{TargetError, reconcile};
use kube::runtime::events::{Recorder, Reporter};
use serde_json::{Value, json};

use crate::api_server::{Call, NAMESPACE};
use crate::connection::{Connection, Fault, Shared, lock};
use crate::world::{clock, set_clock};

const JOB: &str = "dev-check";

struct Bed {
    server: Shared,
    context: TargetContext,
}

impl Bed {
    fn new(spec: &Value) -> Self {
        let server = Shared::default();
        let target = json!({
            "apiVersion": "datamigration.dev/v1alpha1", "kind": "MigrationTarget",
            "metadata": {"name": "dev"}, "spec": spec,
        });
        lock(&server).objects.insert("migrationtargets", target);
        let context = context(&server);
        Self { server, context }
    }

    fn with_keys() -> Self {
        Self::new(&json!({"region": "eu-west-1", "credentials": {"secret": {"name": "aws"}}}))
    }

    async fn reconcile(&self) -> Result<Option<Duration>, TargetError> {
        set_clock(lock(&self.server).objects.now());
        reconcile(&self.context, NAMESPACE, "dev").await
    }

    fn pass_seconds(&self, seconds: i64) {
        lock(&self.server).objects.pass_seconds(seconds);
    }

    /// The check's pod as the Job controller creates it, with a status.
    fn put_pod(&self, status: &Value) {
        let mut server = lock(&self.server);
        let job = server.objects.get("jobs", JOB).unwrap().clone();
        let template = &job["spec"]["template"];
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("{JOB}-x"), "labels": template["metadata"]["labels"],
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": JOB,
                    "uid": job["metadata"]["uid"], "controller": true,
                }],
            },
            "spec": template["spec"], "status": status,
        });
        server.objects.force_remove("pods", &format!("{JOB}-x"));
        server.objects.insert("pods", pod);
    }

    fn end(&self, found: &str) {
        let said = json!({"version": 1, "database": {"found": found, "message": "so it said"}});
        self.put_pod(&status(&json!({"terminated": {"exitCode": 0, "message": said.to_string()}})));
    }

    /// What the garbage collector does to what a deleted Job has left.
    fn collect(&self) {
        let mut server = lock(&self.server);
        if server.objects.get("jobs", JOB).is_none() {
            server.objects.force_remove("pods", &format!("{JOB}-x"));
        }
    }

    fn ready(&self) -> (String, String) {
        let server = lock(&self.server);
        let target = server.objects.get("migrationtargets", "dev").unwrap();
        let all = target["status"]["conditions"].as_array().unwrap();
        let ready = all.iter().find(|condition| condition["type"] == "Ready").unwrap();
        let text = |field: &str| ready[field].as_str().unwrap().to_owned();
        (text("status"), text("reason"))
    }

    fn writes(&self) -> Vec<String> {
        lock(&self.server).writes().iter().map(|call| call.text()).collect()
    }

    fn events(&self) -> Vec<String> {
        let server = lock(&self.server);
        server.objects.events.iter().map(|e| e["reason"].as_str().unwrap().to_owned()).collect()
    }
}

fn context(server: &Shared) -> TargetContext {
    let client = Connection::direct(server).client();
    let reporter = Reporter { controller: "datamigration".into(), instance: None };
    TargetContext {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        settings: Settings {
            agent_image: "agent:1".into(),
            agent_pull_policy: "IfNotPresent".into(),
            resources: AgentResources::default(),
            network_policy_from: Some("system".into()),
        },
        metrics: Arc::new(Metrics::default()),
        clock,
    }
}

fn status(state: &Value) -> Value {
    json!({"phase": "Pending", "containerStatuses": [{
        "name": "check", "state": state, "ready": false, "restartCount": 0, "image": "agent:1",
        "imageID": "",
    }]})
}

#[tokio::test]
async fn a_target_is_checked_once_and_says_what_was_found() {
    let bed = Bed::with_keys();
    bed.reconcile().await.unwrap();
    assert_eq!(bed.ready(), ("Unknown".into(), "Checking".into()));
    let created = [
        "PUT migrationtargets/dev/status",
        "POST networkpolicies/dev-check-keys",
        "POST jobs/dev-check",
    ];
    assert_eq!(bed.writes(), created);
    bed.reconcile().await.unwrap();
    assert_eq!(bed.writes().len(), 3, "a check under way is only looked at");
    bed.end("Reachable");
    let again = bed.reconcile().await.unwrap();
    assert_eq!(bed.ready(), ("True".into(), "Reachable".into()));
    assert_eq!(bed.writes()[3..], ["PUT migrationtargets/dev/status", "DELETE jobs/dev-check"]);
    assert_eq!(again, Some(dm_operator::limits::CHECK_EVERY));
    bed.collect();
    bed.reconcile().await.unwrap();
    assert_eq!(bed.writes().len(), 5, "it is not due");
    assert_eq!(bed.events(), ["Reachable"]);
    let text = bed.context.metrics.text();
    let series = "datamigration_target_ready{namespace=\"team\",target=\"dev\"} 1";
    assert!(text.contains(series), "{text}");
    lock(&bed.server).objects.delete("migrationtargets", "dev");
    assert_eq!(bed.reconcile().await.unwrap(), None);
    assert!(!bed.context.metrics.text().contains("target=\"dev\""));
}

#[tokio::test]
async fn a_failed_check_is_repeated_later_and_an_event_is_told_of_each_change() {
    let bed = Bed::with_keys();
    for (found, seconds) in [("Unreachable", 60), ("Unreachable", 120), ("Reachable", 6 * 3600)] {
        bed.reconcile().await.unwrap();
        bed.end(found);
        assert_eq!(bed.reconcile().await.unwrap(), Some(Duration::from_secs(seconds)));
        bed.collect();
        bed.pass_seconds(i64::try_from(seconds).unwrap() - 1);
        let before = bed.writes().len();
        bed.reconcile().await.unwrap();
        assert_eq!(bed.writes().len(), before, "not before its time");
        bed.pass_seconds(1);
    }
    assert_eq!(bed.events(), ["DatabaseUnreachable", "Reachable"]);
}

#[tokio::test]
async fn a_missing_secret_is_named_and_the_same_check_finds_it_later() {
    let bed = Bed::with_keys();
    bed.reconcile().await.unwrap();
    let waiting = json!({"waiting": {
        "reason": "CreateContainerConfigError", "message": "secret \"aws\" not found",
    }});
    bed.put_pod(&status(&waiting));
    bed.reconcile().await.unwrap();
    assert_eq!(bed.ready(), ("False".into(), "SecretNotFound".into()));
    bed.end("Reachable");
    bed.reconcile().await.unwrap();
    assert_eq!(bed.ready(), ("True".into(), "Reachable".into()));
    let created = bed.writes().iter().filter(|write| *write == "POST jobs/dev-check").count();
    assert_eq!(created, 1);
}

#[tokio::test]
async fn a_missing_account_and_a_rejected_job_start_no_check() {
    let bed = Bed::new(&json!({
        "region": "eu-west-1", "credentials": {"serviceAccount": {"name": "migrations"}},
    }));
    bed.reconcile().await.unwrap();
    assert_eq!(bed.ready(), ("False".into(), "ServiceAccountNotFound".into()));
    assert_eq!(bed.writes(), ["PUT migrationtargets/dev/status"]);
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "migrations"}});
    lock(&bed.server).objects.insert("serviceaccounts", account);
    lock(&bed.server).objects.refused = Some(("jobs".into(), 403, "exceeded quota: none".into()));
    bed.pass_seconds(60);
    let again = bed.reconcile().await.unwrap();
    assert_eq!(bed.ready(), ("Unknown".into(), "ObjectRefused".into()));
    assert_eq!(again, Some(Duration::from_secs(120)));
    lock(&bed.server).objects.refused = None;
    bed.pass_seconds(120);
    bed.reconcile().await.unwrap();
    bed.end("Reachable");
    bed.reconcile().await.unwrap();
    assert_eq!(bed.ready().0, "True");
}

#[tokio::test]
async fn a_job_that_is_not_the_targets_is_neither_believed_nor_deleted() {
    let bed = Bed::with_keys();
    let fake = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": JOB, "labels": {"datamigration.dev/target-uid": "uid-1"}},
        "spec": {"template": {
            "metadata": {"labels": {"datamigration.dev/target-uid": "uid-1"}},
            "spec": {"containers": [{"name": "check", "image": "agent:1"}]},
        }},
    });
    lock(&bed.server).objects.insert("jobs", fake);
    bed.end("Reachable");
    bed.reconcile().await.unwrap();
    assert_eq!(bed.ready(), ("Unknown".into(), "NameTaken".into()));
    assert_eq!(bed.writes(), ["PUT migrationtargets/dev/status"]);
}

#[tokio::test]
async fn an_edit_during_a_check_starts_another_one() {
    let bed = Bed::with_keys();
    bed.reconcile().await.unwrap();
    bed.end("Reachable");
    lock(&bed.server).objects.change("migrationtargets", "dev", |target| {
        target["spec"]["endpoint"] = json!("http://other:8000");
    });
    bed.reconcile().await.unwrap();
    assert_eq!(bed.ready(), ("Unknown".into(), "Checking".into()), "the result is of another spec");
    assert_eq!(bed.writes().last().unwrap(), "DELETE jobs/dev-check");
    bed.collect();
    bed.reconcile().await.unwrap();
    assert_eq!(bed.writes().last().unwrap(), "POST jobs/dev-check");
    bed.end("Unreachable");
    bed.reconcile().await.unwrap();
    assert_eq!(bed.ready(), ("False".into(), "DatabaseUnreachable".into()));
}

#[tokio::test]
async fn a_crash_at_any_write_leaves_one_check_and_one_result() {
    for fault in [Fault::Lost, Fault::AnswerLost] {
        for number in 1..=6 {
            let bed = Bed::with_keys();
            lock(&bed.server).fault = Some((number, fault));
            let mut bed = bed;
            for _ in 0..12 {
                let _ = bed.reconcile().await;
                if lock(&bed.server).dead {
                    lock(&bed.server).dead = false;
                    bed.context = context(&bed.server);
                }
                let has_job = lock(&bed.server).objects.get("jobs", JOB).is_some();
                let has_pod = !lock(&bed.server).objects.names("pods").is_empty();
                if has_job && !has_pod {
                    bed.end("Unreachable");
                }
                bed.collect();
                bed.pass_seconds(6);
            }
            let what = format!("{fault:?} at write {number}");
            assert_eq!(bed.ready(), ("False".into(), "DatabaseUnreachable".into()), "{what}");
            let server = lock(&bed.server);
            let target = server.objects.get("migrationtargets", "dev").unwrap();
            let failed = target["status"]["failedChecks"].as_u64().unwrap();
            let created = server.calls.iter().filter(|call| is_creation(call)).count();
            assert!(failed <= 2 && created <= 3, "{what}: {failed} failed, {created} created");
        }
    }
}

fn is_creation(call: &Call) -> bool {
    call.method == "POST" && call.plural == "jobs"
}

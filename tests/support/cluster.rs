//! Its own place for each test on a cluster: a namespace, a target, a database that nobody
//! else sees, and everything there is to know about them when the test fails.

mod database;
mod read;
mod words;
mod written;

use std::collections::BTreeSet;
use std::env;
use std::fmt::Debug;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::time::Duration;

use dm_api::condition::Reason;
use dm_api::status::Phase;
use dm_api::{DataMigration, MIGRATION_UID_LABEL};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, LogParams, Patch,
    PatchParams,
};
use kube::runtime::wait::await_condition;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use database::{Database, canonical};
pub use read::{condition, effects, failure, ready, status};
pub use words::{kubectl, try_kubectl};
pub use written::{Written, files_of};

/// The namespace the operator runs in.
pub const OPERATOR_NAMESPACE: &str = "datamigration-system";

/// The target that each test's namespace has.
pub const TARGET: &str = "local";

/// The Secret with that target's credentials.
pub const CREDENTIALS: &str = "credentials";

/// The region of all tests.
pub const REGION: &str = "eu-west-1";

/// How long anything may take: ten pods start at the same time on a machine with two cores.
pub const LONGEST: Duration = Duration::from_secs(180);

/// How long nothing must happen before we believe that nothing will.
pub const QUIET: Duration = Duration::from_secs(8);

/// A variable that describes the cluster.
pub fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: these tests need a cluster with the operator and DynamoDB Local. \
             `cargo xtask test cluster` brings one up and runs them; for one that is up: \
             eval \"$(cargo xtask cluster env)\""
        )
    })
}

/// A namespace with a target and its own database.
pub struct Bed {
    /// The cluster, seen as its administrator.
    pub client: Client,
    pub namespace: String,
    /// The access key under which the database keeps this test's tables.
    pub access_key: String,
    /// The database, past the guard.
    pub database: Database,
    finished: bool,
}

impl Bed {
    /// Makes a namespace for a test. Pods in it have to satisfy Pod Security's strictest profile.
    pub async fn new(test: &str) -> Self {
        variable("KUBECONFIG");
        let client = Client::try_default().await.expect("a client of the cluster");
        let random = format!("{:06x}", RandomState::new().hash_one(test) & 0xff_ffff);
        let namespace = format!("t-{test}-{random}");
        let access_key: String = namespace.chars().filter(char::is_ascii_alphanumeric).collect();
        let database = Database::new(&variable("DYNAMODB_ENDPOINT"), &access_key);
        let bed = Self { client, namespace, access_key, database, finished: false };
        let namespaces: Api<Namespace> = Api::all(bed.client.clone());
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": bed.namespace, "labels": labels},
        });
        namespaces.patch(&bed.namespace, &manager(), &Patch::Apply(&object)).await.unwrap();
        bed.apply(&bed.secret(CREDENTIALS, &bed.access_key)).await;
        bed.apply(&target(TARGET, &json!({}))).await;
        bed
    }

    /// Removes the namespace; call it last. A test that failed leaves it to be looked at.
    pub async fn done(mut self) {
        self.finished = true;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
    }

    /// For a test that has removed the namespace itself.
    pub fn forget(mut self) {
        self.finished = true;
    }

    /// A Secret with AWS credentials of the database.
    pub fn secret(&self, name: &str, access_key: &str) -> Value {
        self.secret_with(name, access_key, "local")
    }

    /// A Secret with AWS credentials.
    pub fn secret_with(&self, name: &str, access_key: &str, secret_key: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key},
        })
    }

    /// Applies an object of any kind as `kubectl apply` does, unknown fields being errors.
    pub async fn try_apply(&self, object: &Value) -> Result<DynamicObject, String> {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let api = self.dynamic(object);
        let applied = api.patch(name, &manager().validation_strict(), &Patch::Apply(object)).await;
        applied.map_err(|error| match error {
            kube::Error::Api(status) => status.message,
            other => panic!("the API server could not be asked: {other}"),
        })
    }

    /// The same; it must succeed.
    pub async fn apply(&self, object: &Value) -> DynamicObject {
        self.try_apply(object).await.unwrap_or_else(|error| panic!("applying {object}: {error}"))
    }

    /// Applies a migration and the ConfigMap with its files.
    pub async fn submit(&self, migration: &Written) {
        if let Some(files) = migration.files() {
            self.apply(&files).await;
        }
        self.apply(&migration.object).await;
    }

    /// Merges a change into a migration, as `kubectl patch --type merge` does.
    pub async fn patch(&self, name: &str, change: &Value) {
        self.try_patch(name, change)
            .await
            .unwrap_or_else(|error| panic!("patching {name} with {change}: {error}"));
    }

    /// The same; the API server may refuse it, in these words.
    pub async fn try_patch(&self, name: &str, change: &Value) -> Result<DataMigration, String> {
        let params = PatchParams { field_manager: None, ..manager() };
        let params = PatchParams { force: false, ..params }.validation_strict();
        let patched = self.migrations().patch(name, &params, &Patch::Merge(change)).await;
        patched.map_err(|error| match error {
            kube::Error::Api(status) => status.message,
            other => panic!("the API server could not be asked: {other}"),
        })
    }

    fn dynamic(&self, object: &Value) -> Api<DynamicObject> {
        let text = |field: &str| object[field].as_str().expect("apiVersion and kind").to_owned();
        let api_version = text("apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let kind = GroupVersionKind::gvk(group, version, &text("kind"));
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::from_gvk(&kind))
    }

    /// Objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The migrations of the namespace.
    pub fn migrations(&self) -> Api<DataMigration> {
        self.api()
    }

    /// Waits until something holds of a migration.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&DataMigration) -> bool,
    ) -> DataMigration {
        let found = until(self.migrations(), name, what, |object| object.is_some_and(&holds)).await;
        found.expect("it was just looked at")
    }

    /// Waits until the operator has seen the last change and no run is under way or about to be.
    pub async fn settled(&self, name: &str) -> DataMigration {
        self.until(name, "its run is over", is_settled).await
    }

    /// Waits for a phase; any other at which nothing happens any more fails the test at once.
    pub async fn phase(&self, name: &str, phase: Phase) -> DataMigration {
        let found = self
            .until(name, &format!("it is {phase:?}"), |object| {
                is_settled(object) || is_current(object) && status(object).phase == Some(phase)
            })
            .await;
        let seen = status(&found).phase;
        assert_eq!(seen, Some(phase), "{name}: {:?}", ready(&found));
        found
    }

    /// Waits until the condition Ready has a reason; its message.
    pub async fn reason(&self, name: &str, reason: Reason) -> String {
        let found = self
            .until(name, &format!("its reason is {reason}"), |object| {
                is_current(object) && ready(object).0 == reason.as_str()
            })
            .await;
        ready(&found).1.to_owned()
    }

    /// Waits until the program of a migration's run is running.
    pub async fn running(&self, name: &str) -> DataMigration {
        self.reason(name, Reason::Running).await;
        self.migrations().get(name).await.unwrap()
    }

    /// Waits until the only program of the namespace has written a line; the line, and its pod.
    ///
    /// A container that runs has not necessarily come to the first line of its program.
    pub async fn said(&self, name: &str) -> (String, String) {
        self.running(name).await;
        let pods = self.pods().await;
        let [pod] = pods.as_slice() else { panic!("one pod: {pods:?}") };
        let (pod, container) = (pod.name_any(), Some("program".to_owned()));
        let follow = LogParams { container, follow: true, ..LogParams::default() };
        let first = async {
            let log = self.api::<Pod>().log_stream(&pod, &follow).await.unwrap();
            log.lines().try_next().await.unwrap().expect("a line")
        };
        let line = tokio::time::timeout(LONGEST, first).await.expect("a line in time");
        (line, pod)
    }

    /// Waits until an object is gone.
    pub async fn gone<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Send
            + DeserializeOwned
            + 'static,
    {
        until(self.api::<K>(), name, "it is gone", |object| object.is_none()).await;
    }

    /// The pods of the namespace's runs. Those of checks of targets come and go by themselves.
    pub async fn pods(&self) -> Vec<Pod> {
        self.api::<Pod>().list(&of_runs()).await.unwrap().items
    }

    /// The Jobs of the namespace's runs.
    pub async fn jobs(&self) -> Vec<Job> {
        self.api::<Job>().list(&of_runs()).await.unwrap().items
    }

    /// Watches for a while; no pod must come that is not there now.
    pub async fn no_new_pod(&self) {
        let known: BTreeSet<_> =
            self.pods().await.iter().filter_map(kube::ResourceExt::uid).collect();
        let of_runs = watcher::Config::default().labels(MIGRATION_UID_LABEL);
        let stream = watcher(self.api::<Pod>(), of_runs).applied_objects();
        let mut news = pin!(stream.try_filter(|pod| {
            let is_new = pod.uid().is_some_and(|uid| !known.contains(&uid));
            std::future::ready(is_new)
        }));
        if let Ok(pod) = tokio::time::timeout(QUIET, news.try_next()).await {
            panic!("a pod was started again: {:?}", pod.map(|pod| pod.map(|pod| pod.name_any())));
        }
    }

    /// Waits for an event of this reason: events are posted after status.
    pub async fn event(&self, reason: &str) {
        let posted = async {
            loop {
                let events = self.kubectl(&["get", "events", "--output=custom-columns=R:.reason"]);
                if events.lines().any(|event| event.trim_end() == reason) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        let waited = tokio::time::timeout(LONGEST, posted).await;
        waited.unwrap_or_else(|_| panic!("waited {} s for event {reason}", LONGEST.as_secs()));
    }

    /// What kubectl prints in the namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend(arguments);
        kubectl(&all)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if !self.finished && std::thread::panicking() {
            words::everything(&self.namespace);
        }
    }
}

fn of_runs() -> ListParams {
    ListParams::default().labels(MIGRATION_UID_LABEL)
}

/// A MigrationTarget for the database, with changes of its spec.
pub fn target(name: &str, changes: &Value) -> Value {
    let mut spec = json!({
        "region": REGION,
        "endpoint": variable("DYNAMODB_ENDPOINT_IN_CLUSTER"),
        "credentials": {"secret": {"name": CREDENTIALS}},
    });
    for (field, value) in changes.as_object().expect("fields") {
        spec[field] = value.clone();
    }
    json!({
        "apiVersion": "datamigration.dev/v1alpha1",
        "kind": "MigrationTarget",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// Waits until something holds of an object, or of its absence.
pub async fn until<K>(
    api: Api<K>,
    name: &str,
    what: &str,
    holds: impl Fn(Option<&K>) -> bool,
) -> Option<K>
where
    K: Resource + Clone + Debug + Send + DeserializeOwned + 'static,
{
    let waiting = await_condition(api, name, |object: Option<&K>| holds(object));
    tokio::time::timeout(LONGEST, waiting)
        .await
        .unwrap_or_else(|_| panic!("waited {} s for {name} until {what}", LONGEST.as_secs()))
        .unwrap_or_else(|error| panic!("watching {name}: {error}"))
}

/// Whether status speaks of the spec as it is.
fn is_current(migration: &DataMigration) -> bool {
    let observed = migration.status.as_ref().and_then(|status| status.observed_generation);
    observed.is_some() && observed == migration.metadata.generation
}

fn is_settled(migration: &DataMigration) -> bool {
    use Phase::{Applied, DryRunFailed, DryRunOk, Failed};
    use Phase::{RestoreFailed, RestorePreviewFailed, RestorePreviewOk, Restored};
    let phase = migration.status.as_ref().and_then(|status| status.phase);
    let tried = matches!(phase, Some(DryRunOk | DryRunFailed | Applied | Failed));
    let restored =
        matches!(phase, Some(RestorePreviewOk | RestorePreviewFailed | Restored | RestoreFailed));
    is_current(migration) && (tried || restored)
}

fn manager() -> PatchParams {
    PatchParams::apply("tests").force()
}

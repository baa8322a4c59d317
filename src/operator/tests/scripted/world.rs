//! One migration, its target and files on the scripted server, and a controller that is called
//! until nothing moves any more.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use dm_api::DataMigration;
use dm_api::agent_resources::AgentResources;
use dm_api::status::DataMigrationStatus;
use dm_operator::cache::Cache;
use dm_operator::context::Context;
use dm_operator::limits;
use dm_operator::metrics::Metrics;
use dm_operator::objects::Settings;
use dm_operator::reconcile::error::ReconcileError;
use dm_operator::reconcile::reconcile;
use jiff::Timestamp;
use kube::runtime::events::{Recorder, Reporter};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::api_server::{Call, NAMESPACE, Objects};
use crate::cluster::{Cluster, Move};
use crate::connection::{Connection, Shared, lock};
use crate::watches::Watches;

pub const NAME: &str = "0001-add-price";

/// Looks and moves after which a test has run away.
const STEPS_MAX: usize = 400;

thread_local! {
    // A controller's clock is a plain function; each test has its own thread.
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::UNIX_EPOCH) };
}

/// What this thread's controllers read as the time.
pub fn clock() -> Timestamp {
    NOW.get()
}

/// The server, the cluster, and one controller.
pub struct World {
    pub server: Shared,
    /// The fake of the cluster.
    pub cluster: Cluster,
    /// Whether a controller that died is started again only when the cluster has come to rest.
    pub late: bool,
    context: Context,
    watches: Watches,
}

impl World {
    /// A migration with `dryRun: true` that was not reconciled yet.
    pub fn new() -> Self {
        let server = Shared::default();
        put_objects(&mut lock(&server).objects);
        let (context, watches) = context(Connection::direct(&server));
        Self { server, cluster: Cluster::default(), late: false, context, watches }
    }

    /// One on a target with an archive.
    pub fn with_archive() -> Self {
        let world = Self::new();
        world.with_objects(|objects| {
            objects.change("migrationtargets", "dev", |target| {
                target["spec"]["archive"] = json!({"url": "s3://archive/prod"});
            });
        });
        world
    }

    /// Changes the migration's spec, as a person does.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut server = lock(&self.server);
        server.objects.change("datamigrations", NAME, |object| change(&mut object["spec"]));
        server.remember();
    }

    pub fn promote(&self) {
        self.edit(|spec| spec["dryRun"] = json!(false));
    }

    /// Changes the objects, as somebody else does.
    pub fn with_objects(&self, change: impl FnOnce(&mut Objects)) {
        let mut server = lock(&self.server);
        change(&mut server.objects);
        server.remember();
    }

    /// The migration as it stands.
    pub fn migration(&self) -> Option<DataMigration> {
        let object = lock(&self.server).objects.get("datamigrations", NAME).cloned()?;
        Some(serde_json::from_value(object).unwrap())
    }

    pub fn status(&self) -> DataMigrationStatus {
        self.migration().unwrap().status.unwrap_or_default()
    }

    /// The reason of its `Ready` condition.
    pub fn reason(&self) -> String {
        let status = self.status();
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        ready.map(|condition| condition.reason.clone()).unwrap_or_default()
    }

    /// Reconciles the migration once.
    pub async fn reconcile(&mut self) -> Result<Option<Duration>, ReconcileError> {
        self.reconcile_one(NAME).await
    }

    /// Reconciles another migration once.
    pub async fn reconcile_one(&mut self, name: &str) -> Result<Option<Duration>, ReconcileError> {
        self.watches.catch_up(&self.context, &self.server);
        self.reconcile_behind(name).await
    }

    /// Reconciles once while the watches bring nothing new.
    pub async fn reconcile_behind(
        &mut self,
        name: &str,
    ) -> Result<Option<Duration>, ReconcileError> {
        NOW.set(lock(&self.server).objects.now());
        Box::pin(reconcile(&self.context, NAMESPACE, name)).await
    }

    /// A controller that remembers nothing takes over.
    pub fn restart(&mut self) {
        lock(&self.server).dead = false;
        (self.context, self.watches) = context(Connection::direct(&self.server));
    }

    /// Reconciles until a reconcile changes nothing. A controller that died is started again.
    pub async fn reconcile_until_quiet(&mut self) {
        for _ in 0..STEPS_MAX {
            let before = lock(&self.server).objects.version();
            let reconciled = self.reconcile().await;
            if lock(&self.server).dead {
                while self.late && self.make_first_move().is_some() {}
                self.restart();
                continue;
            }
            // One that only compares changes nothing, and asks for the next one.
            let rests = reconciled.is_ok_and(|again| again != Some(Duration::ZERO));
            if rests && lock(&self.server).objects.version() == before {
                return;
            }
        }
        let last =
            lock(&self.server).calls.iter().rev().take(12).map(Call::text).collect::<Vec<_>>();
        panic!("the controller never comes to rest; its last calls, newest first: {last:#?}");
    }

    /// One move of the cluster, if there is one.
    pub fn make_first_move(&mut self) -> Option<Move> {
        let mut server = lock(&self.server);
        let step = self.cluster.moves(&server.objects).into_iter().next()?;
        self.cluster.make(&mut server.objects, &step);
        server.remember();
        Some(step)
    }

    /// Looks and moves until neither controller nor cluster has anything to do.
    pub async fn until_quiet(&mut self) {
        for _ in 0..STEPS_MAX {
            self.reconcile_until_quiet().await;
            if self.make_first_move().is_some() {
                continue;
            }
            // While a Job is being deleted, a pod may still come for some seconds.
            let before = lock(&self.server).objects.version();
            let is_going = |job: &&Value| !job["metadata"]["deletionTimestamp"].is_null();
            if lock(&self.server).objects.all("jobs").iter().any(is_going) {
                let seconds = limits::LATE_POD_MAX.as_secs();
                self.with_objects(|objects| objects.pass_seconds(seconds));
                self.reconcile_until_quiet().await;
            }
            if lock(&self.server).objects.version() == before {
                return;
            }
        }
        panic!("the cluster never comes to rest");
    }
}

/// A controller on a connection, and its watches.
pub fn context(connection: Connection) -> (Context, Watches) {
    let client = connection.client();
    let reporter = Reporter { controller: "datamigration".into(), instance: None };
    let (cache, writers) = Cache::new();
    let context = Context {
        cache: Arc::new(cache),
        starting: Mutex::default(),
        recorder: Recorder::new(client.clone(), reporter),
        client,
        settings: Settings {
            agent_image: "agent:1".into(),
            agent_pull_policy: "IfNotPresent".into(),
            resources: AgentResources::default(),
            network_policy_from: None,
        },
        metrics: Arc::new(Metrics::default()),
        created: Arc::default(),
        clock,
    };
    (context, Watches::new(writers))
}

/// Sets the clock of this thread's controllers.
pub fn set_clock(now: Timestamp) {
    NOW.set(now);
}

fn put_objects(objects: &mut Objects) {
    let namespace = json!({"metadata": {"name": NAMESPACE, "finalizers": ["kubernetes"]}});
    objects.insert("namespaces", namespace);
    objects.insert(
        "migrationtargets",
        json!({
            "apiVersion": "datamigration.dev/v1alpha1",
            "kind": "MigrationTarget",
            "metadata": {"name": "dev"},
            "spec": {"region": "eu-west-1", "credentials": {"secret": {"name": "aws"}}},
        }),
    );
    objects.insert(
        "configmaps",
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "files"},
            "data": {"main.py": "print('one')"},
        }),
    );
    objects.insert("datamigrations", migration());
}

/// The migration as its author writes it.
pub fn migration() -> Value {
    json!({
        "apiVersion": "datamigration.dev/v1alpha1",
        "kind": "DataMigration",
        "metadata": {"name": NAME},
        "spec": {
            "target": {"name": "dev"},
            "dryRun": true,
            "script": {"configMap": {"name": "files"}, "image": "python:3.12"},
        },
    })
}

//! The cluster behind the plugin's verbs: found by kubectl's own flags and files.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use dm_api::name::DnsName;
use dm_api::{DataMigration, MigrationTarget};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use serde_json::json;

/// Who changed a field, in its managed fields.
const FIELD_MANAGER: &str = "kubectl-datamigration";

/// Longest silence of the API server. Without a bound, a connection that a sleeping laptop or a
/// load balancer has lost would be waited for without an end. A watch is ended by the server after
/// 290 s (kube's default), so a healthy one is never cut.
const SILENCE_MAX: Duration = Duration::from_mins(5);

/// Which cluster and namespace.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "cluster")]
pub struct Flags {
    /// Namespace [default: the context's]
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long)]
    pub context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, else ~/.kube/config, else the pod's own account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// What went wrong with a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("reading the kubeconfig")]
    Kubeconfig(#[source] Box<KubeconfigError>),
    /// Neither a kubeconfig nor a pod.
    #[error("finding a cluster; give --kubeconfig, or set KUBECONFIG")]
    Infer(#[source] Box<kube::config::InferConfigError>),
    #[error("preparing the connection to the cluster")]
    Client(#[source] Box<kube::Error>),
    /// The definitions are missing.
    #[error("this cluster does not know DataMigrations; install the chart `datamigration` first")]
    NotInstalled,
    /// A namespace that cannot be one.
    #[error("{0:?} cannot be the name of a namespace")]
    Namespace(String),
    #[error("there is no DataMigration {name} in namespace {namespace}")]
    NotFound { name: String, namespace: String },
    #[error("{0} changed since it was read. Nothing was written; run the command again")]
    Conflict(String),
    #[error("{action}")]
    Api {
        /// What was being done.
        action: String,
        source: Box<kube::Error>,
    },
}

/// A cluster and the namespace that is meant.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    pub namespace: String,
}

impl Cluster {
    /// Finds the cluster; nothing is sent yet. An answer that does not come is an error.
    pub async fn connect(flags: &Flags) -> Result<Self, ClusterError> {
        let mut config = config(flags).await?;
        config.read_timeout = Some(SILENCE_MAX);
        config.reset_reader_on_write = true;
        Self::with(flags, config)
    }

    /// The same for a log that is followed: its program may be silent for as long as it likes.
    pub async fn connect_patiently(flags: &Flags) -> Result<Self, ClusterError> {
        Self::with(flags, config(flags).await?)
    }

    fn with(flags: &Flags, config: Config) -> Result<Self, ClusterError> {
        let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        if parsed(&namespace).is_none() {
            return Err(ClusterError::Namespace(namespace));
        }
        let client =
            Client::try_from(config).map_err(|error| ClusterError::Client(Box::new(error)))?;
        Ok(Self { client, namespace })
    }

    pub fn migrations(&self) -> Api<DataMigration> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn migration(&self, name: &str) -> Result<DataMigration, ClusterError> {
        let not_found =
            || ClusterError::NotFound { name: name.to_owned(), namespace: self.namespace.clone() };
        // What is no name would be another path.
        let found = self.migrations().get_opt(parsed(name).ok_or_else(not_found)?).await;
        if let Some(migration) = found.map_err(failed(&format!("reading DataMigration {name}")))? {
            return Ok(migration);
        }
        // It is missing, or its whole kind is.
        let listed = self.migrations().list(&ListParams::default().limit(1)).await;
        listed.map_err(failed("listing DataMigrations"))?;
        Err(not_found())
    }

    /// A target, if there is one and it may be seen.
    pub async fn target(&self, name: &str) -> Option<MigrationTarget> {
        let targets: Api<MigrationTarget> = Api::namespaced(self.client.clone(), &self.namespace);
        targets.get_opt(parsed(name)?).await.ok().flatten()
    }

    /// Sets fields of a migration's spec, if it is still as it was read.
    pub async fn set(
        &self,
        read: &DataMigration,
        spec: serde_json::Value,
    ) -> Result<(), ClusterError> {
        let name = read.metadata.name.as_deref().unwrap_or_default();
        let patch = json!({
            "metadata": {"resourceVersion": read.metadata.resource_version},
            "spec": spec,
        });
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        match self.migrations().patch(name, &params, &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Err(ClusterError::Conflict(name.to_owned()))
            }
            Err(error) => Err(failed(&format!("changing DataMigration {name}"))(error)),
        }
    }
}

fn parsed(name: &str) -> Option<&str> {
    DnsName::parse(name).map(DnsName::as_str)
}

/// An error of the API server, with what was being done.
pub fn failed(action: &str) -> impl FnOnce(kube::Error) -> ClusterError + use<> {
    let action = action.to_owned();
    move |error| match error {
        // A missing object has details that name it; a missing kind has none.
        kube::Error::Api(status) if status.code == 404 && status.details.is_none() => {
            ClusterError::NotInstalled
        }
        error => ClusterError::Api { action, source: Box::new(error) },
    }
}

async fn config(flags: &Flags) -> Result<Config, ClusterError> {
    let wrong = |error| ClusterError::Kubeconfig(Box::new(error));
    let options =
        KubeConfigOptions { context: flags.context.clone(), ..KubeConfigOptions::default() };
    if let Some(path) = &flags.kubeconfig {
        let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
        return Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(wrong);
    }
    if flags.context.is_some() {
        return Config::from_kubeconfig(&options).await.map_err(wrong);
    }
    Config::infer().await.map_err(|error| ClusterError::Infer(Box::new(error)))
}

/// What undoes a change, where something else keeps the object as it is in Git.
pub fn gitops_warning(migration: &DataMigration) -> Option<&'static str> {
    let labels = migration.metadata.labels.iter().flatten();
    let annotations = migration.metadata.annotations.iter().flatten();
    let has = |prefix: &str| {
        labels.clone().chain(annotations.clone()).any(|(key, _)| key.starts_with(prefix))
    };
    if has("argocd.argoproj.io/") {
        Some(
            "Argo CD keeps this object in sync with Git. Make the same change in Git, or it is \
             reverted",
        )
    } else if has("kustomize.toolkit.fluxcd.io/") || has("helm.toolkit.fluxcd.io/") {
        Some(
            "Flux keeps this object in sync with Git. Make the same change in Git, or it is \
             reverted",
        )
    } else {
        None
    }
}

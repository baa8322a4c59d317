//! Addresses, ports and names of the local cluster: the one place where they stand. Traffic stays
//! on loopback and on the pods' own bridge.

use std::path::{Path, PathBuf};

/// The bridge the pods hang on. It carries the node's address.
pub const BRIDGE: &str = "dmbr0";
/// The node's address: API server, kubelet and DynamoDB Local as pods see them.
pub const NODE_ADDRESS: &str = "10.213.0.1";
/// Prefix length of the pods' network.
pub const POD_PREFIX: u8 = 24;
pub const POD_NETWORK: &str = "10.213.0.0/24";
/// The first address given to a pod.
pub const POD_RANGE_START: &str = "10.213.0.10";
pub const SERVICE_NETWORK: &str = "10.214.0.0/24";
/// The API server's service address.
pub const API_SERVICE_ADDRESS: &str = "10.214.0.1";

pub const NODE_NAME: &str = "datamigration";
/// The cgroup below which everything runs that the cluster starts.
pub const CGROUP: &str = "datamigration";
/// Our own table of packet filter rules.
pub const GUARD_TABLE: &str = "datamigration";

/// API server, on the node's address.
pub const API_PORT: u16 = 6443;
/// etcd's clients, on loopback.
pub const ETCD_PORT: u16 = 21379;
/// etcd's peers, of which there are none.
pub const ETCD_PEER_PORT: u16 = 21380;
/// The kubelet, on the node's address.
pub const KUBELET_PORT: u16 = 10250;
/// The kubelet's health, on loopback.
pub const KUBELET_HEALTH_PORT: u16 = 21248;
/// The controller manager, on loopback.
pub const CONTROLLER_MANAGER_PORT: u16 = 21257;
/// The scheduler, on loopback.
pub const SCHEDULER_PORT: u16 = 21259;
/// kube-proxy's health, on loopback.
pub const PROXY_HEALTH_PORT: u16 = 21256;
/// kube-proxy's metrics, on loopback.
pub const PROXY_METRICS_PORT: u16 = 21249;
/// DynamoDB Local, on every address; a packet filter rule keeps other machines out.
pub const DYNAMODB_PORT: u16 = 18000;

/// The folder of sockets and of containerd's mounts. Short, because a socket's path may have 107
/// bytes.
pub const RUN_FOLDER: &str = "/run/datamigration";

/// Files of the running cluster.
#[derive(Clone, Debug)]
pub struct State(pub PathBuf);

impl State {
    /// A file or folder in the state folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What an administrator's kubectl uses.
    pub fn kubeconfig(&self) -> PathBuf {
        self.join("kubeconfig")
    }

    /// Which checkout brought the cluster up.
    pub fn owner(&self) -> PathBuf {
        self.join("owner")
    }

    /// Fingerprint of what the running cluster was made from.
    pub fn recipe(&self) -> PathBuf {
        self.join("recipe")
    }

    /// What `cluster env` prints, written by `up`.
    pub fn environment(&self) -> PathBuf {
        self.join("environment.json")
    }

    /// One file per daemon: its process and when that began.
    pub fn pids(&self) -> PathBuf {
        self.join("pids")
    }

    /// One file per daemon: what it said.
    pub fn logs(&self) -> PathBuf {
        self.join("logs")
    }

    pub fn certificates(&self) -> PathBuf {
        self.join("certificates")
    }
}

pub fn containerd_socket() -> PathBuf {
    Path::new(RUN_FOLDER).join("containerd.sock")
}

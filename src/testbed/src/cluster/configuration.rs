//! Configuration files of the daemons that read one. Each unusual setting says which machine needs
//! it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::kernel::SHIMS;
use super::layout::{
    BRIDGE, CGROUP, KUBELET_HEALTH_PORT, KUBELET_PORT, NODE_ADDRESS, NODE_NAME, POD_NETWORK,
    POD_RANGE_START, PROXY_HEALTH_PORT, PROXY_METRICS_PORT, RUN_FOLDER, State, containerd_socket,
};
use crate::images::datamigration::PAUSE_REFERENCE;
use crate::parts::golang::Programs;

/// Writes all of them.
pub fn write(state: &State, programs: &Programs) -> Result<()> {
    write_file(&state.join("kubelet.json"), &kubelet(state).to_string())?;
    write_file(&state.join("proxy.json"), &proxy(state).to_string())?;
    write_file(&state.join("containerd.toml"), &containerd(state, programs))?;
    // Pods ask no name server unless the cluster has one.
    write_file(&state.join("resolv.conf"), "")?;
    let network = state.join("network");
    fs::create_dir_all(&network).with_context(|| format!("making {}", network.display()))?;
    write_file(&network.join("10-datamigration.conflist"), &pod_network(state).to_string())
}

fn kubelet(state: &State) -> serde_json::Value {
    let certificates = state.certificates();
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": KUBELET_HEALTH_PORT,
        "tlsCertFile": certificates.join("kubelet.crt"),
        "tlsPrivateKeyFile": certificates.join("kubelet.key"),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": certificates.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": format!("unix://{}", containerd_socket().display()),
        "clusterDomain": "cluster.local",
        "resolvConf": state.join("resolv.conf"),
        "podLogsDir": state.join("pod-logs"),
        "volumePluginDir": state.join("volume-plugins"),
        // One cgroup for all, in whatever driver and version the machine has.
        "cgroupRoot": format!("/{CGROUP}"),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "enforceNodeAllocatable": ["none"],
        "failSwapOn": false,
        // The machine's disk is not the cluster's: its images are not to be collected, its pods not
        // to be evicted because something else fills it.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%",
            "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%",
        },
    })
}

fn proxy(state: &State) -> serde_json::Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": NODE_NAME,
        "clientConnection": {"kubeconfig": state.join("proxy.kubeconfig")},
        "clusterCIDR": POD_NETWORK,
        "healthzBindAddress": format!("127.0.0.1:{PROXY_HEALTH_PORT}"),
        "metricsBindAddress": format!("127.0.0.1:{PROXY_METRICS_PORT}"),
        // The kernel's connection tracking table is not ours to size.
        "conntrack": {
            "maxPerCore": 0, "min": 0,
            "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        },
        // Two pods share one bridge, so an answer to a service's client would go past the address
        // translation if the client's own address were kept.
        "nftables": {"masqueradeAll": true},
    })
}

fn pod_network(state: &State) -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "datamigration",
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": true,
            "isDefaultGateway": true,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_NETWORK, "rangeStart": POD_RANGE_START}]],
                "dataDir": state.join("addresses"),
            },
        }],
    })
}

fn containerd(state: &State, programs: &Programs) -> String {
    format!(
        "version = 3
root = '{root}'
state = '{RUN_FOLDER}/containerd'
# Of no use here, and some log an error where a kernel module is missing.
disabled_plugins = [
  'io.containerd.nri.v1.nri', 'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.zfs', 'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.blockfile', 'io.containerd.snapshotter.v1.erofs',
]

[grpc]
  address = '{socket}'

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{PAUSE_REFERENCE}'

[plugins.'io.containerd.cri.v1.runtime']
  # Without CAP_SYS_RESOURCE a container's score cannot go below our own.
  restrict_oom_score_adj = true
  # Below the state folder, where `down` finds them.
  netns_mounts_under_state_dir = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['{plugins}']
  conf_dir = '{network}'

[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = 'runc'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '{runc}'
  SystemdCgroup = false
  ShimCgroup = '/{CGROUP}/{SHIMS}'
",
        root = state.join("containerd").display(),
        socket = containerd_socket().display(),
        plugins = programs.containerd.display(),
        network = state.join("network").display(),
        runc = programs.runc.display(),
    )
}

fn write_file(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("writing {}", path.display()))
}

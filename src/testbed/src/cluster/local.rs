//! Bringing the local cluster up and down: the order of things, and how long each may take.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::layout::{
    API_PORT, CONTROLLER_MANAGER_PORT, DYNAMODB_PORT, ETCD_PEER_PORT, ETCD_PORT, NODE_ADDRESS,
    NODE_NAME, RUN_FOLDER, SCHEDULER_PORT, SERVICE_NETWORK, State, containerd_socket,
};
use super::{certificates, configuration, daemons, kernel};
use crate::checkout::Checkout;
use crate::command::{command, run, succeeds};
use crate::console::step;
use crate::images::{self, Image};
use crate::parts::dynamodb;
use crate::parts::golang::Programs;

/// The API server answers after 3–4 s; while compilers have the processors it may take far longer.
const API_READY_MAX: Duration = Duration::from_secs(120);

/// containerd listens within a second.
const CONTAINERD_READY_MAX: Duration = Duration::from_secs(30);

/// The node is ready after 8 s, and the same compilers may be in the way.
const NODE_READY_MAX: Duration = Duration::from_secs(120);

/// Every daemon, in the order in which they start.
pub const DAEMONS: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "dynamodb",
];

/// Starts everything and waits until the node takes pods.
pub fn start(
    checkout: &Checkout,
    state: &State,
    programs: &Programs,
    library: &Path,
) -> Result<()> {
    for folder in [state.0.clone(), state.pids(), state.logs(), RUN_FOLDER.into()] {
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    }
    certificates::create(state)?;
    configuration::write(state, programs)?;
    kernel::set_up(state)?;
    step("starting etcd, the API server and DynamoDB Local", || {
        daemons::start(state, "etcd", &etcd(state, programs))?;
        daemons::start(state, "kube-apiserver", &api_server(state, programs))?;
        daemons::start(state, "containerd", &containerd(state, programs))?;
        daemons::start(state, "dynamodb", &dynamodb::server(library, DYNAMODB_PORT))?;
        daemons::wait_for(state, "kube-apiserver", API_READY_MAX, || {
            succeeds(&mut kubectl(state, &["get", "--raw", "/readyz"]))
        })
    })?;
    step("starting the controllers, the scheduler, the kubelet and kube-proxy", || {
        for (name, daemon) in [
            ("kube-controller-manager", controller_manager(state, programs)),
            ("kube-scheduler", scheduler(state, programs)),
            ("kube-proxy", proxy(state, programs)),
        ] {
            daemons::start(state, name, &daemon)?;
        }
        daemons::wait_for(state, "containerd", CONTAINERD_READY_MAX, || {
            succeeds(&mut ctr(programs, &["version"]))
        })?;
        load(state, programs, &images::datamigration::pause(checkout, &programs.pause)?)?;
        daemons::start(state, "kubelet", &kubelet(state, programs))?;
        daemons::wait_for(state, "kubelet", NODE_READY_MAX, || {
            succeeds(&mut kubectl(
                state,
                &["wait", "--for=condition=Ready", "node", NODE_NAME, "--timeout=1s"],
            ))
        })?;
        daemons::wait_for(state, "kube-controller-manager", API_READY_MAX, || {
            succeeds(&mut kubectl(state, &["get", "serviceaccount", "default"]))
        })
    })?;
    dynamodb::wait_until_ready(DYNAMODB_PORT, &daemons::log_of(state, "dynamodb"))
}

/// Whether every daemon runs, the API server answers and the node is ready.
pub fn is_healthy(state: &State) -> bool {
    DAEMONS.iter().all(|name| daemons::is_running(state, name))
        && succeeds(&mut kubectl(state, &["get", "--raw", "/readyz"]))
        && succeeds(&mut kubectl(
            state,
            &["wait", "--for=condition=Ready", "node", NODE_NAME, "--timeout=5s"],
        ))
}

/// Imports an image unless containerd has it.
pub fn load(state: &State, programs: &Programs, image: &Image) -> Result<()> {
    let listed = crate::command::capture(
        &mut ctr(programs, &["images", "list", "--quiet"]),
        "asking containerd for its images",
    )?;
    let suffix = format!("/{}", image.reference);
    if listed.lines().any(|line| line == image.reference || line.ends_with(&suffix)) {
        return Ok(());
    }
    let doing = format!("loading the image {}", image.reference);
    step(&doing, || {
        let mut import = ctr(programs, &["images", "import"]);
        run(import.arg(&image.archive).current_dir(&state.0), &doing)
    })
}

/// Imports an archive of the OCI layout under the repository's name with its digest, by which no
/// registry is asked. Only the local import names the manifest so; the transfer service, which is
/// the default, gives the digest of the index around it.
pub fn import(programs: &Programs, archive: &Path, repository: &str) -> Result<()> {
    let mut import = ctr(programs, &["images", "import", "--local", "--digests", "--base-name"]);
    run(import.arg(repository).arg(archive), &format!("importing {}", archive.display()))
}

/// Stops everything and leaves nothing behind.
pub fn stop(state: &State) -> Result<()> {
    step("stopping the local cluster", || {
        // The kubelet and the controllers first, or they would start again what is being stopped.
        for name in ["kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy"] {
            daemons::stop(state, name)?;
        }
        for name in daemons::known(state).iter().filter(|name| *name != "containerd") {
            daemons::stop(state, name)?;
        }
        // containerd before its containers: it would only write down that they died.
        daemons::stop(state, "containerd")?;
        kernel::remove(state)?;
        remove_log_links(state);
        remove_results();
        for folder in [state.0.as_path(), Path::new(RUN_FOLDER)] {
            run(
                command("rm", ["-rf", "--one-file-system"]).arg(folder),
                &format!("removing {}", folder.display()),
            )?;
        }
        Ok(())
    })
}

/// kubectl as the cluster's administrator.
pub fn kubectl(state: &State, arguments: &[&str]) -> Command {
    let mut kubectl = command("kubectl", arguments);
    kubectl.env("KUBECONFIG", state.kubeconfig());
    kubectl
}

fn ctr(programs: &Programs, arguments: &[&str]) -> Command {
    let mut ctr = command(programs.containerd.join("ctr"), ["--address"]);
    ctr.arg(containerd_socket()).args(["--namespace", "k8s.io"]).args(arguments);
    ctr
}

fn etcd(state: &State, programs: &Programs) -> Command {
    let clients = format!("http://127.0.0.1:{ETCD_PORT}");
    let peers = format!("http://127.0.0.1:{ETCD_PEER_PORT}");
    let mut etcd = command(programs.kubernetes.join("etcd"), ["--name=testbed"]);
    etcd.arg(format!("--data-dir={}", state.join("etcd").display()))
        .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
        .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
        .arg(format!("--initial-cluster=testbed={peers}"))
        // The data does not outlive the cluster.
        .args(["--unsafe-no-fsync", "--log-level=warn"]);
    etcd
}

fn api_server(state: &State, programs: &Programs) -> Command {
    let certificate = |name: &str| state.certificates().join(name).display().to_string();
    let mut server = command(
        programs.kubernetes.join("kube-apiserver"),
        [
            format!("--etcd-servers=http://127.0.0.1:{ETCD_PORT}"),
            format!("--bind-address={NODE_ADDRESS}"),
            format!("--advertise-address={NODE_ADDRESS}"),
            format!("--secure-port={API_PORT}"),
            format!("--service-cluster-ip-range={SERVICE_NETWORK}"),
            format!("--client-ca-file={}", certificate("ca.crt")),
            format!("--tls-cert-file={}", certificate("apiserver.crt")),
            format!("--tls-private-key-file={}", certificate("apiserver.key")),
            format!("--kubelet-certificate-authority={}", certificate("ca.crt")),
            format!("--kubelet-client-certificate={}", certificate("kubelet-client.crt")),
            format!("--kubelet-client-key={}", certificate("kubelet-client.key")),
            format!("--service-account-key-file={}", certificate("service-account.pub")),
            format!("--service-account-signing-key-file={}", certificate("service-account.key")),
        ],
    );
    server.args([
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
    ]);
    server
}

fn controller_manager(state: &State, programs: &Programs) -> Command {
    let certificate = |name: &str| state.certificates().join(name).display().to_string();
    let kubeconfig = state.join("controller-manager.kubeconfig").display().to_string();
    command(
        programs.kubernetes.join("kube-controller-manager"),
        [
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={CONTROLLER_MANAGER_PORT}"),
            format!("--cert-dir={}", state.join("controller-manager").display()),
            "--leader-elect=false".to_owned(),
            "--use-service-account-credentials=true".to_owned(),
            format!("--root-ca-file={}", certificate("ca.crt")),
            format!("--cluster-signing-cert-file={}", certificate("ca.crt")),
            format!("--cluster-signing-key-file={}", certificate("ca.key")),
            format!("--service-account-private-key-file={}", certificate("service-account.key")),
            format!("--flex-volume-plugin-dir={}", state.join("volume-plugins").display()),
        ],
    )
}

fn scheduler(state: &State, programs: &Programs) -> Command {
    let kubeconfig = state.join("scheduler.kubeconfig").display().to_string();
    command(
        programs.kubernetes.join("kube-scheduler"),
        [
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={SCHEDULER_PORT}"),
            format!("--cert-dir={}", state.join("scheduler").display()),
            "--leader-elect=false".to_owned(),
        ],
    )
}

fn containerd(state: &State, programs: &Programs) -> Command {
    let mut containerd = command(programs.containerd.join("containerd"), ["--config"]);
    containerd.arg(state.join("containerd.toml"));
    // It looks for its shim on the path.
    containerd.env("PATH", search_path(&programs.containerd));
    containerd
}

fn kubelet(state: &State, programs: &Programs) -> Command {
    command(
        programs.kubernetes.join("kubelet"),
        [
            format!("--config={}", state.join("kubelet.json").display()),
            format!("--kubeconfig={}", state.join("kubelet.kubeconfig").display()),
            format!("--root-dir={}", state.join("kubelet").display()),
            format!("--hostname-override={NODE_NAME}"),
            format!("--node-ip={NODE_ADDRESS}"),
        ],
    )
}

fn proxy(state: &State, programs: &Programs) -> Command {
    let mut proxy = command(programs.kubernetes.join("kube-proxy"), ["--config"]);
    proxy.arg(state.join("proxy.json"));
    proxy.env("PATH", search_path(Path::new("/usr/sbin")));
    proxy
}

fn search_path(first: &Path) -> String {
    format!("{}:{}", first.display(), std::env::var("PATH").unwrap_or_default())
}

/// The kubelet links the pods' logs from a folder it lets nobody choose.
fn remove_log_links(state: &State) {
    let Ok(entries) = fs::read_dir("/var/log/containers") else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if fs::read_link(&path).is_ok_and(|target| target.starts_with(&state.0)) {
            let _ = fs::remove_file(&path);
        }
    }
    let _ = fs::remove_dir("/var/log/containers");
}

/// The network library keeps a result per container in a folder it lets nobody choose.
fn remove_results() {
    let Ok(entries) = fs::read_dir("/var/lib/cni/results") else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("datamigration-"))
        {
            let _ = fs::remove_file(&path);
        }
    }
}

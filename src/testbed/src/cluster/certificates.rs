//! The cluster's certificates: one authority signs everything, and one kubeconfig per client. They
//! live as long as the cluster and are made by openssl, so that no key ever stands in the
//! repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::layout::{API_PORT, API_SERVICE_ADDRESS, NODE_ADDRESS, NODE_NAME, State};
use crate::command::{command, run};

/// A test cluster is thrown away long before.
const VALID_DAYS: &str = "365";

/// The clients of the API server: file name, user name and group.
const CLIENTS: &[(&str, &str, &str)] = &[
    ("admin", "datamigration-admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", "system:kube-controller-manager"),
    ("scheduler", "system:kube-scheduler", "system:kube-scheduler"),
    ("proxy", "system:kube-proxy", "system:node-proxier"),
    // What the API server shows to the kubelet, for logs and exec.
    ("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
];

/// Makes every certificate, key and kubeconfig of a new cluster.
pub fn create(state: &State) -> Result<()> {
    let folder = state.certificates();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    authority(&folder)?;
    service_account_key(&folder)?;
    let names = format!(
        "IP:{NODE_ADDRESS},IP:127.0.0.1,IP:{API_SERVICE_ADDRESS},DNS:localhost,DNS:kubernetes,\
         DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
    );
    signed(&folder, "apiserver", "/CN=kube-apiserver", Some(&names))?;
    let node = format!("/O=system:nodes/CN=system:node:{NODE_NAME}");
    signed(&folder, "kubelet", &node, Some(&format!("IP:{NODE_ADDRESS},DNS:{NODE_NAME}")))?;
    for (file, user, group) in CLIENTS {
        signed(&folder, file, &format!("/O={group}/CN={user}"), None)?;
    }
    for name in ["kubelet", "controller-manager", "scheduler", "proxy"] {
        kubeconfig(&folder, name, &state.join(&format!("{name}.kubeconfig")))?;
    }
    kubeconfig(&folder, "admin", &state.kubeconfig())
}

fn authority(folder: &Path) -> Result<()> {
    let mut openssl = new_certificate(folder, "ca", "/CN=datamigration-testbed");
    openssl.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
    openssl.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]);
    run(&mut openssl, "making the cluster's certificate authority")
}

fn signed(folder: &Path, name: &str, subject: &str, alternative: Option<&str>) -> Result<()> {
    let mut openssl = new_certificate(folder, name, subject);
    openssl.arg("-CA").arg(folder.join("ca.crt")).arg("-CAkey").arg(folder.join("ca.key"));
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.args(["-addext", "keyUsage=critical,digitalSignature"]);
    openssl.args(["-addext", "extendedKeyUsage=clientAuth,serverAuth"]);
    if let Some(alternative) = alternative {
        openssl.arg("-addext").arg(format!("subjectAltName={alternative}"));
    }
    run(&mut openssl, &format!("signing the certificate {name}"))
}

fn new_certificate(folder: &Path, name: &str, subject: &str) -> std::process::Command {
    let mut openssl = command("openssl", ["req", "-x509", "-newkey", "ec", "-nodes"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", VALID_DAYS]);
    openssl.args(["-subj", subject]);
    openssl.arg("-keyout").arg(folder.join(format!("{name}.key")));
    openssl.arg("-out").arg(folder.join(format!("{name}.crt")));
    openssl
}

fn service_account_key(folder: &Path) -> Result<()> {
    run(
        command("openssl", ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
            .arg("-out")
            .arg(folder.join("service-account.key")),
        "making the key that signs service account tokens",
    )?;
    run(
        command("openssl", ["pkey", "-pubout", "-in"])
            .arg(folder.join("service-account.key"))
            .arg("-out")
            .arg(folder.join("service-account.pub")),
        "writing the public key of service account tokens",
    )
}

fn kubeconfig(folder: &Path, name: &str, place: &Path) -> Result<()> {
    let file = |extension: &str| -> PathBuf { folder.join(format!("{name}.{extension}")) };
    let content = format!(
        "apiVersion: v1
kind: Config
current-context: datamigration
clusters:
- name: datamigration
  cluster:
    server: https://{NODE_ADDRESS}:{API_PORT}
    certificate-authority: {ca}
users:
- name: {name}
  user:
    client-certificate: {certificate}
    client-key: {key}
contexts:
- name: datamigration
  context: {{cluster: datamigration, user: {name}}}
",
        ca = folder.join("ca.crt").display(),
        certificate = file("crt").display(),
        key = file("key").display(),
    );
    fs::write(place, content).with_context(|| format!("writing {}", place.display()))
}

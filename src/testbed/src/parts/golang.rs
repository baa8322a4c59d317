//! The parts that are built from Go modules: the control plane, the kubelet, containerd, runc, CNI
//! and helm. Versions stand in the go.mod files below src/testbed/recipes/go and nowhere else.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cached;
use crate::checkout::Checkout;
use crate::command::{command, run};
use crate::console::step;
use crate::fingerprint::Fingerprint;

/// A folder with a go.mod, and the programs to build from it.
struct Module {
    folder: &'static str,
    /// The module whose version the programs report, by the given linker flags.
    version_of: &'static str,
    /// Linker flags; `{version}` is replaced.
    stamps: &'static str,
    /// Output names and import paths.
    programs: &'static [(&'static str, &'static str)],
    cgo: bool,
    tags: &'static str,
}

const KUBERNETES: Module = Module {
    folder: "kubernetes",
    version_of: "k8s.io/kubernetes",
    stamps: "-X k8s.io/component-base/version.gitVersion={version} \
             -X k8s.io/component-base/version.gitMajor={major} \
             -X k8s.io/component-base/version.gitMinor={minor}",
    programs: &[
        ("etcd", "go.etcd.io/etcd/server/v3"),
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    ],
    cgo: false,
    tags: "",
};

const CONTAINERD: Module = Module {
    folder: "containerd",
    version_of: "github.com/containerd/containerd/v2",
    stamps: "-X github.com/containerd/containerd/v2/version.Version={version}",
    programs: &[
        ("containerd", "github.com/containerd/containerd/v2/cmd/containerd"),
        (
            "containerd-shim-runc-v2",
            "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        ),
        ("ctr", "github.com/containerd/containerd/v2/cmd/ctr"),
        ("bridge", "github.com/containernetworking/plugins/plugins/main/bridge"),
        ("loopback", "github.com/containernetworking/plugins/plugins/main/loopback"),
        ("host-local", "github.com/containernetworking/plugins/plugins/ipam/host-local"),
    ],
    cgo: false,
    tags: "",
};

const RUNC: Module = Module {
    folder: "runc",
    version_of: "github.com/opencontainers/runc",
    stamps: "-X main.version={version}",
    programs: &[("runc", "github.com/opencontainers/runc")],
    cgo: true,
    tags: "seccomp",
};

const PAUSE: Module = Module {
    folder: "pause",
    version_of: "",
    stamps: "",
    programs: &[("pause", ".")],
    cgo: false,
    tags: "",
};

const HELM: Module = Module {
    folder: "helm",
    version_of: "helm.sh/helm/v4",
    stamps: "",
    programs: &[("helm", "helm.sh/helm/v4/cmd/helm")],
    cgo: false,
    tags: "",
};

/// Folders of the built programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// etcd and the parts of Kubernetes.
    pub kubernetes: PathBuf,
    /// containerd, its shim, ctr and the CNI plugins.
    pub containerd: PathBuf,
    /// The program that starts containers.
    pub runc: PathBuf,
    /// The program of a pod's sandbox.
    pub pause: PathBuf,
    pub helm: PathBuf,
}

/// Builds, or finds in the cache, everything a local cluster consists of.
pub fn programs(checkout: &Checkout) -> Result<Programs> {
    Ok(Programs {
        kubernetes: build(checkout, &KUBERNETES)?,
        containerd: build(checkout, &CONTAINERD)?,
        runc: build(checkout, &RUNC)?.join("runc"),
        pause: build(checkout, &PAUSE)?.join("pause"),
        helm: helm(checkout)?,
    })
}

/// The helm program alone.
pub fn helm(checkout: &Checkout) -> Result<PathBuf> {
    Ok(build(checkout, &HELM)?.join("helm"))
}

/// The version of helm that a checkout asks for.
pub fn helm_version(root: &Path) -> Result<String> {
    let path = root.join("src/testbed/recipes/go").join(HELM.folder).join("go.mod");
    let go_mod =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let version = required_version(&go_mod, HELM.version_of);
    version.map(str::to_owned).with_context(|| format!("{} names no helm", path.display()))
}

fn build(checkout: &Checkout, module: &Module) -> Result<PathBuf> {
    let folder = checkout.testbed().join("go").join(module.folder);
    let go_mod = std::fs::read_to_string(folder.join("go.mod"))
        .with_context(|| format!("reading the go.mod of {}", module.folder))?;
    let version = required_version(&go_mod, module.version_of).unwrap_or_default();
    let flags = linker_flags(module.stamps, version);
    let mut recipe =
        Fingerprint::default().folder(&folder)?.text(&flags).text(module.tags).text(module.folder);
    for (name, path) in module.programs {
        recipe = recipe.text(name).text(path);
    }
    let name = if version.is_empty() {
        module.folder.to_owned()
    } else {
        format!("{}-{version}", module.folder)
    };
    cached(&checkout.cache, "go", &name, &recipe.key(), |place| {
        for (name, path) in module.programs {
            // What an interrupted build has finished is kept.
            if !place.join(name).exists() {
                step(&format!("building {name} {version}"), || {
                    build_program(&folder, module, &flags, path, &place.join(name))
                })?;
            }
        }
        Ok(())
    })
}

fn build_program(
    folder: &Path,
    module: &Module,
    flags: &str,
    path: &str,
    output: &Path,
) -> Result<()> {
    let unfinished = output.with_extension("unfinished");
    run(
        command("go", ["build", "-mod=readonly", "-trimpath", "-tags", module.tags, "-ldflags"])
            .arg(flags)
            .arg("-o")
            .arg(&unfinished)
            .arg(path)
            .current_dir(folder)
            .env("CGO_ENABLED", if module.cgo { "1" } else { "0" })
            .env("GOTOOLCHAIN", "local")
            .env("GOWORK", "off"),
        &format!("building {path}"),
    )?;
    std::fs::rename(&unfinished, output)
        .with_context(|| format!("moving the built program to {}", output.display()))
}

/// The version a go.mod asks for a module.
fn required_version<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().map(|line| line.trim().trim_start_matches("require ")).find_map(|line| {
        let (name, rest) = line.split_once(' ')?;
        let version = rest.split_whitespace().next()?;
        (name == module && version.starts_with('v')).then_some(version)
    })
}

/// Kubernetes shows v0.0.0 to its clients unless the linker sets another version.
fn linker_flags(stamps: &str, version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let major = numbers.next().unwrap_or_default();
    let minor = numbers.next().unwrap_or_default();
    let stamps =
        stamps.replace("{version}", version).replace("{major}", major).replace("{minor}", minor);
    format!("-s -w {stamps}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO_MOD: &str = "module x\n\nrequire (\n\tk8s.io/api v0.37.2 // indirect\n\t\
                          k8s.io/kubernetes v1.37.2\n)\n\n\
                          replace k8s.io/api => k8s.io/api v0.1.0\n";

    #[test]
    fn a_version_is_read_from_the_go_mod() {
        assert_eq!(required_version(GO_MOD, "k8s.io/kubernetes"), Some("v1.37.2"));
        assert_eq!(required_version(GO_MOD, "k8s.io/api"), Some("v0.37.2"));
        assert_eq!(required_version(GO_MOD, "k8s.io/none"), None);
    }

    #[test]
    fn flags_carry_the_version() {
        assert_eq!(
            linker_flags("-X a={version} -X b={major} -X c={minor}", "v1.37.2"),
            "-s -w -X a=v1.37.2 -X b=1 -X c=37"
        );
        assert_eq!(linker_flags("", ""), "-s -w");
    }
}

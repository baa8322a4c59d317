//! What the cluster asks of the kernel besides processes: a bridge, a packet filter table,
//! forwarding and a cgroup. Everything made here is taken away by `remove`, and what was changed is
//! restored.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::daemons::signal;
use super::layout::{
    BRIDGE, CGROUP, DYNAMODB_PORT, GUARD_TABLE, NODE_ADDRESS, POD_PREFIX, RUN_FOLDER, State,
};
use crate::command::{capture, command, feed, run, succeeds};

/// Settings that the cluster or the kubelet change, and which `remove` restores.
const SETTINGS: &[&str] = &[
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// The cgroup of containerd's shims, below ours: they outlive containerd, so `remove` finds them
/// here.
pub const SHIMS: &str = "shims";

/// How long processes that were killed may take to leave their cgroup.
const CGROUP_EMPTY_MAX: Duration = Duration::from_secs(10);

/// Makes the bridge, the table, the cgroup, and lets packets be forwarded.
pub fn set_up(state: &State) -> Result<()> {
    save_settings(state)?;
    set("net/ipv4/ip_forward", "1")?;
    if !succeeds(&mut command("ip", ["link", "show", BRIDGE])) {
        ip(&["link", "add", BRIDGE, "type", "bridge"])?;
    }
    // A separate address, or the bridge would take another one with each pod that comes or goes.
    ip(&["link", "set", BRIDGE, "address", "02:da:7a:00:00:01", "up"])?;
    ip(&["address", "replace", &format!("{NODE_ADDRESS}/{POD_PREFIX}"), "dev", BRIDGE])?;
    // DynamoDB Local listens on every address and asks nobody for a password.
    let rules = format!(
        "table inet {GUARD_TABLE} {{
           chain input {{
             type filter hook input priority filter; policy accept;
             iifname != {{ \"lo\", \"{BRIDGE}\" }} tcp dport {DYNAMODB_PORT} drop
           }}
         }}"
    );
    feed(&mut command("nft", ["-f", "-"]), &rules, "keeping other machines from DynamoDB Local")?;
    for cgroup in cgroups() {
        for folder in [cgroup.clone(), cgroup.join(SHIMS)] {
            fs::create_dir_all(&folder)
                .with_context(|| format!("making the cgroup {}", folder.display()))?;
            adopt_processors(&folder);
        }
    }
    Ok(())
}

/// Kills what is left in our cgroup and takes everything away that `set_up` or the daemons made.
pub fn remove(state: &State) -> Result<()> {
    empty_cgroups()?;
    unmount_below(Path::new(RUN_FOLDER))?;
    unmount_below(&state.0)?;
    remove_cgroups();
    for table in [["inet", GUARD_TABLE], ["ip", "kube-proxy"], ["ip6", "kube-proxy"]] {
        succeeds(command("nft", ["delete", "table"]).args(table));
    }
    if succeeds(&mut command("ip", ["link", "show", BRIDGE])) {
        for port in bridge_ports() {
            // A pod's end of the pair goes with its network namespace, perhaps before we get to it.
            succeeds(&mut command("ip", ["link", "delete", &port]));
        }
        ip(&["link", "delete", BRIDGE])?;
    }
    restore_settings(state)
}

/// Whether the bridge is there, which means that some cluster of ours is.
pub fn is_set_up() -> bool {
    Path::new("/sys/class/net").join(BRIDGE).exists()
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(&mut command("ip", arguments), &format!("ip {}", arguments.join(" ")))
}

fn bridge_ports() -> Vec<String> {
    fs::read_dir(format!("/sys/class/net/{BRIDGE}/brif"))
        .map(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
                .collect()
        })
        .unwrap_or_default()
}

fn setting(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name)
}

fn set(name: &str, value: &str) -> Result<()> {
    fs::write(setting(name), value).with_context(|| format!("setting {name} to {value}"))
}

fn save_settings(state: &State) -> Result<()> {
    let saved: String = SETTINGS
        .iter()
        .filter_map(|name| {
            let value = fs::read_to_string(setting(name)).ok()?;
            Some(format!("{name} {}\n", value.trim()))
        })
        .collect();
    fs::write(state.join("settings"), saved).context("saving the kernel's settings")
}

fn restore_settings(state: &State) -> Result<()> {
    let saved = fs::read_to_string(state.join("settings")).unwrap_or_default();
    for (name, value) in saved.lines().filter_map(|line| line.split_once(' ')) {
        let now = fs::read_to_string(setting(name)).unwrap_or_default();
        if now.trim() != value {
            set(name, value)?;
        }
    }
    Ok(())
}

/// Our cgroup in every hierarchy: one in version 2, one per controller in version 1.
fn cgroups() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
            (kind == "cgroup" || kind == "cgroup2").then(|| Path::new(place).join(CGROUP))
        })
        .collect()
}

/// A version 1 cpuset takes no process before it has processors and memory nodes.
fn adopt_processors(folder: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if let Some(parent) = folder.parent()
            && let Ok(value) = fs::read_to_string(parent.join(file))
        {
            let _ = fs::write(folder.join(file), value.trim());
        }
    }
}

fn empty_cgroups() -> Result<()> {
    let begun = Instant::now();
    loop {
        let mut processes: Vec<u32> = cgroups()
            .iter()
            .flat_map(|folder| cgroups_below(folder))
            .filter_map(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok())
            .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>())
            .collect();
        processes.sort_unstable();
        processes.dedup();
        if processes.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > CGROUP_EMPTY_MAX {
            bail!("these processes of the cluster's containers do not end: {processes:?}");
        }
        for process in processes {
            signal(process, "KILL");
        }
        sleep(Duration::from_millis(50));
    }
}

/// A cgroup and all below it, the deepest first.
fn cgroups_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(entries) = fs::read_dir(folder) {
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.is_dir()) {
            found.extend(cgroups_below(&path));
        }
        found.push(folder.to_path_buf());
    }
    found
}

fn remove_cgroups() {
    for folder in cgroups().iter().flat_map(|folder| cgroups_below(folder)) {
        // A process that has just been killed may hold it for a moment.
        let begun = Instant::now();
        while fs::remove_dir(&folder).is_err() && begun.elapsed() < CGROUP_EMPTY_MAX {
            sleep(Duration::from_millis(20));
        }
    }
}

fn unmount_below(folder: &Path) -> Result<()> {
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    let mounts = capture(&mut command("cat", ["/proc/self/mountinfo"]), "listing mounts")?;
    let mut places: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|place| Path::new(place).starts_with(&folder))
        .collect();
    places.sort_unstable();
    for place in places.iter().rev() {
        // Lazily: nothing of ours runs any more, and a mount over another hides it.
        run(&mut command("umount", ["--lazy", place]), "unmounting what containers used")?;
    }
    Ok(())
}

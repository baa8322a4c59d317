//! Processes that outlive the task that started them. A process is known by its number and by when
//! it began, so that a number used again by the system is never taken for ours.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::layout::State;
use crate::command::{command, last_lines_of, succeeds};

/// The only daemon with something to put in order before it ends. What the others hold is thrown
/// away with the cluster; asked politely, the API server alone would wait for its clients.
const ENDS_IN_ORDER: &str = "containerd";

/// How long a daemon may take to end when asked or killed: containerd closes files, nothing more.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Between two looks at a process.
const POLL_PERIOD: Duration = Duration::from_millis(50);

/// Starts a daemon in its own session, with its output in a log file.
pub fn start(state: &State, name: &str, daemon: &Command) -> Result<()> {
    let log = log_of(state, name);
    let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let errors = output.try_clone().with_context(|| format!("sharing {}", log.display()))?;
    // setsid becomes the daemon, so the child's number is the daemon's.
    let mut detached = command("setsid", [daemon.get_program()]);
    detached.args(daemon.get_args()).current_dir(&state.0);
    for (key, value) in daemon.get_envs() {
        match value {
            Some(value) => detached.env(key, value),
            None => detached.env_remove(key),
        };
    }
    let child = detached
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let began = began(child.id()).with_context(|| format!("{name} ended at once"))?;
    let file = pid_file(state, name);
    fs::write(&file, format!("{} {began}\n", child.id()))
        .with_context(|| format!("writing {}", file.display()))
}

/// Whether a daemon of ours runs.
pub fn is_running(state: &State, name: &str) -> bool {
    running(&pid_file(state, name)).is_some()
}

/// The names of all daemons that were started and not stopped, running or not.
pub fn known(state: &State) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(state.pids())
        .map(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

/// Ends a daemon and forgets it.
pub fn stop(state: &State, name: &str) -> Result<()> {
    let file = pid_file(state, name);
    if let Some(pid) = running(&file) {
        signal(pid, if name == ENDS_IN_ORDER { "TERM" } else { "KILL" });
        if !ended_within(&file, STOP_MAX) {
            signal(pid, "KILL");
            if !ended_within(&file, STOP_MAX) {
                bail!("{name} (process {pid}) does not end, not even when killed");
            }
        }
    }
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Waits until `ready` holds; a daemon that died in the meantime ends the wait with its last words.
pub fn wait_for(
    state: &State,
    name: &str,
    patience: Duration,
    mut ready: impl FnMut() -> bool,
) -> Result<()> {
    let begun = Instant::now();
    while !ready() {
        let alive = is_running(state, name);
        if !alive || begun.elapsed() > patience {
            let what = if alive { "is not ready" } else { "has ended" };
            bail!(
                "{name} {what} after {:.0} s; its log is {}:\n{}",
                begun.elapsed().as_secs_f64(),
                log_of(state, name).display(),
                last_lines_of(&log_of(state, name), 25)
            );
        }
        sleep(POLL_PERIOD * 2);
    }
    Ok(())
}

/// Kills processes by number; for those that a cgroup of ours holds.
pub fn signal(pid: u32, name: &str) {
    succeeds(&mut command("kill", [format!("-{name}"), pid.to_string()]));
}

/// Where a daemon's output goes.
pub fn log_of(state: &State, name: &str) -> PathBuf {
    state.logs().join(format!("{name}.log"))
}

fn pid_file(state: &State, name: &str) -> PathBuf {
    state.pids().join(name)
}

fn running(file: &Path) -> Option<u32> {
    let text = fs::read_to_string(file).ok()?;
    let (pid, recorded) = text.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    (began(pid)? == recorded).then_some(pid)
}

/// When a process began, in the kernel's ticks and together with the boot it belongs to; nothing
/// for a process that is gone or only waits to be collected.
fn began(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything, so count from its end.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let dead = fields.next()? == "Z";
    let ticks = fields.nth(18)?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    (!dead).then(|| format!("{ticks}@{}", boot.trim()))
}

fn ended_within(file: &Path, patience: Duration) -> bool {
    let begun = Instant::now();
    while running(file).is_some() {
        if begun.elapsed() > patience {
            return false;
        }
        sleep(POLL_PERIOD);
    }
    true
}

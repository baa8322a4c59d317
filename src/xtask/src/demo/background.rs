//! The parts of the cluster, built by a process of the lowest priority while the first part of the
//! demonstration is built and shown.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use dm_testbed::checkout::Checkout;
use dm_testbed::cluster;
use dm_testbed::command::last_lines_of;
use dm_testbed::console::{Waiting, say, seconds};

/// Between two looks at the log.
const POLL_PERIOD: Duration = Duration::from_millis(500);

/// How many lines of the log an error repeats.
const LAST_LINES_MAX: usize = 20;

/// Builds that run.
pub struct Background {
    child: Child,
    log: PathBuf,
    begun: Instant,
}

impl Background {
    /// Begins, where this machine builds its cluster itself.
    pub fn start(checkout: &Checkout) -> Result<Option<Self>> {
        if !cluster::is_built_here() {
            return Ok(None);
        }
        let log = checkout.target().join("cluster-parts.log");
        fs::create_dir_all(checkout.target())
            .with_context(|| format!("making {}", checkout.target().display()))?;
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let own = std::env::current_exe().context("finding the task runner's program")?;
        let child = Command::new("nice")
            .args(["-n", "19"])
            .arg(own)
            .args(["cluster", "parts"])
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("sharing the log")?)
            .stderr(output)
            .spawn()
            .context("starting the build of the cluster's parts")?;
        say(&format!(
            "The cluster's parts are built in the background, at low priority: {}",
            checkout.shown(&log)
        ));
        Ok(Some(Self { child, log, begun: Instant::now() }))
    }

    /// Waits for the end, and shows what is built and how long that takes at most.
    pub fn wait(mut self) -> Result<()> {
        let waiting = Waiting::start("the parts of the cluster");
        let status = loop {
            if let Some(status) = self.child.try_wait().context("waiting for the build")? {
                break status;
            }
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            waiting.show(&shown(&log, self.begun.elapsed()));
            std::thread::sleep(POLL_PERIOD);
        };
        waiting.end();
        if !status.success() {
            bail!(
                "building the parts of the cluster ended with {status}:\n{}",
                last_lines_of(&self.log, LAST_LINES_MAX)
            );
        }
        say(&format!("The cluster's parts were ready after {}.", seconds(self.begun.elapsed())));
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // After a success there is nothing to end. Its compiler would outlive it.
        let children = Command::new("pkill").args(["-P", &self.child.id().to_string()]).status();
        drop(children);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The step under way, and the time left by the shares of the steps that are done.
fn shown(log: &str, elapsed: Duration) -> String {
    let title = |line: &str, mark: &str| {
        line.trim_start().strip_prefix(mark).map(|rest| rest.trim().to_owned())
    };
    let Some(now) = log.lines().filter_map(|line| title(line, "…")).next_back() else {
        return "preparing".to_owned();
    };
    let done = log.lines().filter(|line| title(line, "ok ").is_some());
    let done: u32 = done.map(cluster::share_of).sum();
    let left = cluster::shares_from(&now);
    match elapsed.checked_mul(left).and_then(|time| time.checked_div(done)) {
        Some(left) => format!("{now}, at most {} left", minutes(left)),
        None => now,
    }
}

fn minutes(time: Duration) -> String {
    match time.as_secs() {
        0..60 => "a minute".to_owned(),
        whole => format!("{} minutes", whole.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_what_is_done() {
        let at = Duration::from_mins(2);
        assert_eq!(shown("", at), "preparing");
        assert_eq!(shown("  …  building etcd v1\n", at), "building etcd v1");
        let log =
            "  …  building etcd v1\n  ok building etcd v1 (2 min 00 s)\n  …  building helm v4\n";
        let done = cluster::share_of("building etcd");
        let left = cluster::shares_from("building helm");
        assert!(done > 0 && left > done, "helm, Debian's layer and two others: {left} of {done}");
        let expected = (120 * left).div_ceil(60 * done);
        assert_eq!(shown(log, at), format!("building helm v4, at most {expected} minutes left"));
        assert_eq!(minutes(Duration::from_secs(5)), "a minute");
    }
}

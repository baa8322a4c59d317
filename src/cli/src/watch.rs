//! `kubectl datamigration watch`: migrations as they go on; live on a terminal, else a line for
//! each change.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::Args;
use dm_api::DataMigration;
use futures::TryStreamExt as _;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use kube::api::{ListParams, WatchEvent, WatchParams};

use crate::cluster::{self, Cluster, ClusterError};
use crate::print;
use crate::progress::{self, Rest, Standing};

/// Between a watch that broke and the next list.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Between two frames of a spinner.
const TICK: Duration = Duration::from_millis(120);

/// Flags of `watch`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Flags {
    /// The migration [default: all of the namespace, until Ctrl-C]
    name: Option<String>,
    #[command(flatten)]
    cluster: cluster::Flags,
}

const EXAMPLES: &str = "\
With a name it ends when the migration is done or waits for a person: with 0 after a successful dry run,
when applied or suspended, and with 1 if a person is needed.

Examples:
  kubectl datamigration watch
  kubectl datamigration watch 0001-add-price-to-cars && echo done";

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Standard output.
    #[error("writing the view")]
    Write(#[from] io::Error),
}

/// Shows migrations until they rest, or for ever.
pub async fn watch(flags: Flags) -> Result<u8, WatchError> {
    let cluster = Cluster::connect(&flags.cluster).await?;
    if let Some(name) = &flags.name {
        cluster.migration(name).await?;
    }
    let mut view = View::new();
    let selector = flags.name.as_ref().map(|name| format!("metadata.name={name}"));
    loop {
        let listed = ListParams { field_selector: selector.clone(), ..ListParams::default() };
        let found = cluster.migrations().list(&listed).await;
        let found = found.map_err(cluster::failed("listing DataMigrations"))?;
        let single = flags.name.is_some();
        for migration in &found.items {
            if let Some(code) = view.show(migration)?.filter(|_| single) {
                return Ok(code);
            }
        }
        let version = found.metadata.resource_version.unwrap_or_default();
        let watched = WatchParams { field_selector: selector.clone(), ..WatchParams::default() };
        if let Ok(events) = cluster.migrations().watch(&watched, &version).await {
            let mut events = std::pin::pin!(events);
            // An error, such as a version that is too old, is answered by a new list.
            while let Ok(Some(event)) = events.try_next().await {
                let code = match event {
                    WatchEvent::Added(migration) | WatchEvent::Modified(migration) => {
                        view.show(&migration)?
                    }
                    WatchEvent::Deleted(migration) => {
                        view.forget(&migration)?;
                        Some(1)
                    }
                    WatchEvent::Bookmark(_) => None,
                    WatchEvent::Error(_) => break,
                };
                if let Some(code) = code.filter(|_| single) {
                    return Ok(code);
                }
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// What is on the screen.
enum View {
    /// A line for each migration, which changes in place.
    Live(MultiProgress, HashMap<String, ProgressBar>),
    /// A line for each change.
    Lines(HashMap<String, Standing>),
}

impl View {
    fn new() -> Self {
        if io::stdout().is_terminal() {
            let screen = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::stdout());
            Self::Live(screen, HashMap::new())
        } else {
            Self::Lines(HashMap::new())
        }
    }

    /// Shows where a migration stands; the code to end with, if it rests.
    fn show(&mut self, migration: &DataMigration) -> io::Result<Option<u8>> {
        let standing = progress::standing(migration);
        let code = match standing.rest {
            Rest::No => None,
            Rest::Well => Some(0),
            Rest::Stalled => Some(1),
        };
        match self {
            Self::Live(screen, bars) => {
                let bar = bars
                    .entry(standing.name.clone())
                    .or_insert_with(|| screen.add(ProgressBar::new(100)));
                draw(bar, &standing);
            }
            Self::Lines(last) => {
                if last.get(&standing.name) != Some(&standing) {
                    print::answer(&line(&standing, Timestamp::now()))?;
                    last.insert(standing.name.clone(), standing);
                }
            }
        }
        Ok(code)
    }

    fn forget(&mut self, migration: &DataMigration) -> io::Result<()> {
        let name = migration.metadata.name.clone().unwrap_or_default();
        match self {
            Self::Live(_, bars) => {
                if let Some(bar) = bars.remove(&name) {
                    bar.finish_with_message("deleted");
                }
            }
            Self::Lines(last) => {
                last.remove(&name);
                print::answer(&format!("{:.0}  {name}  deleted\n", Timestamp::now()))?;
            }
        }
        Ok(())
    }
}

fn draw(bar: &ProgressBar, standing: &Standing) {
    let template = match (standing.rest, standing.percent) {
        (Rest::No, Some(_)) => "{spinner} {prefix}  [{bar:24}] {msg}",
        (Rest::No, None) => "{spinner} {prefix}  {msg}",
        (Rest::Well, _) => "✓ {prefix}  {msg}",
        (Rest::Stalled, _) => "✗ {prefix}  {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(standing.name.clone());
    bar.set_position(standing.percent.unwrap_or(0));
    let message = format!("{}  {}", standing.phase, standing.text);
    if standing.rest == Rest::No {
        bar.enable_steady_tick(TICK);
        bar.set_message(message);
    } else {
        bar.disable_steady_tick();
        bar.abandon_with_message(message);
    }
}

fn line(standing: &Standing, now: Timestamp) -> String {
    let Standing { name, phase, text, .. } = standing;
    format!("{}\n", format!("{now:.0}  {name}  {phase}  {text}").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_line() {
        let standing = Standing {
            name: "0001-add-price".into(),
            phase: "Running".into(),
            text: "37% (150 of ~406)".into(),
            percent: Some(37),
            rest: Rest::No,
        };
        let now = "2026-12-01T10:04:00.123Z".parse().unwrap();
        assert_eq!(
            line(&standing, now),
            "2026-12-01T10:04:00Z  0001-add-price  Running  37% (150 of ~406)\n"
        );
    }
}

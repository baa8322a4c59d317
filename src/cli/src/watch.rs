//! `kubectl datamigration watch`: the progress of migrations; live on a terminal, else a line for
//! each change.

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::time::Duration;

use clap::Args;
use dm_api::DataMigration;
use futures::{Stream, TryStreamExt as _};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use tokio::time::Instant;

use crate::cluster::{self, Cluster, ClusterError};
use crate::print;
use crate::progress::{self, Rest, Standing};

/// Between a watch that broke and the next list.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The longest pause of an outage: a run that rests is seen this much later.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(15);

/// How long an API server may be away: the restart of a control plane takes a few minutes.
const OUTAGE_MAX: Duration = Duration::from_mins(5);

/// Answers that no other list will change: no login, no right, no such kind.
const REFUSALS: [u16; 3] = [401, 403, 404];

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
With a name, it ends when the migration is done, is suspended or needs a person. The exit code is 1
if a person must act or the migration was deleted, and 0 otherwise. It also ends, with 0, when the
program that reads its output ends, as in the last example.

Examples:
  kubectl datamigration watch
  kubectl datamigration watch 0001-add-price-to-cars && echo done
  kubectl datamigration watch | grep -m1 Failed";

#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("writing the view")]
    Write(#[from] io::Error),
}

/// Shows migrations until they rest, or until Ctrl-C.
pub async fn watch(flags: Flags) -> Result<u8, WatchError> {
    let cluster = Cluster::connect(&flags.cluster).await?;
    if let Some(name) = &flags.name {
        cluster.migration(name).await?;
    }
    watch_until_unread(&cluster, flags.name.as_deref(), &mut View::new(), io::stdout()).await
}

/// Watches as long as somebody reads the output: in `watch | grep -m1 Applied` nothing may change
/// after the line that ends grep, so that no write would find it gone.
async fn watch_until_unread(
    cluster: &Cluster,
    name: Option<&str>,
    view: &mut View,
    output: impl AsFd,
) -> Result<u8, WatchError> {
    tokio::select! {
        code = watch_in(cluster, name, view) => code,
        () = print::unread(output) => Ok(0),
    }
}

/// Lists, then watches from that list on. Each watch ends after some minutes; the next list shows
/// what was missed in between.
async fn watch_in(
    cluster: &Cluster,
    name: Option<&str>,
    view: &mut View,
) -> Result<u8, WatchError> {
    let selector = name.map(|name| format!("metadata.name={name}"));
    let mut outage = Outage::default();
    loop {
        let listed = ListParams { field_selector: selector.clone(), ..ListParams::default() };
        let found = match cluster.migrations().list(&listed).await {
            Ok(found) => found,
            Err(error) => {
                tokio::time::sleep(outage.bear(error)?).await;
                continue;
            }
        };
        outage = Outage::after_an_answer();
        view.forget_all_but(&found.items)?;
        for migration in &found.items {
            if let Some(code) = view.show(migration)?.filter(|_| name.is_some()) {
                return Ok(code);
            }
        }
        if let (Some(name), true) = (name, found.items.is_empty()) {
            view.forget(name)?;
            return Ok(1);
        }
        let version = found.metadata.resource_version.unwrap_or_default();
        let watched = WatchParams { field_selector: selector.clone(), ..WatchParams::default() };
        if let Ok(events) = cluster.migrations().watch(&watched, &version).await
            && let Some(code) = show_events(events, name, view).await?
        {
            return Ok(code);
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// Shows the events of a watch until it ends; the code to end with, if there is one.
async fn show_events(
    events: impl Stream<Item = kube::Result<WatchEvent<DataMigration>>>,
    single: Option<&str>,
    view: &mut View,
) -> io::Result<Option<u8>> {
    let mut events = std::pin::pin!(events);
    // An error, such as a version that is too old, is answered by a new list.
    while let Ok(Some(event)) = events.try_next().await {
        let code = match event {
            WatchEvent::Added(migration) | WatchEvent::Modified(migration) => {
                view.show(&migration)?
            }
            WatchEvent::Deleted(migration) => {
                view.forget(&migration.name_any())?;
                Some(1)
            }
            WatchEvent::Bookmark(_) => None,
            WatchEvent::Error(_) => break,
        };
        if code.is_some() && single.is_some() {
            return Ok(code);
        }
    }
    Ok(None)
}

/// Since when the API server does not answer.
#[derive(Debug, Default)]
struct Outage {
    has_answered: bool,
    since: Option<Instant>,
    pause: Duration,
}

impl Outage {
    /// None. From now on one is borne.
    fn after_an_answer() -> Self {
        Self { has_answered: true, ..Self::default() }
    }

    /// The pause before the next list, or the error, if another list would not help.
    fn bear(&mut self, error: kube::Error) -> Result<Duration, ClusterError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let refused = matches!(&error, kube::Error::Api(status) if REFUSALS.contains(&status.code));
        if refused || !self.has_answered || since.elapsed() > OUTAGE_MAX {
            return Err(cluster::failed("listing DataMigrations")(error));
        }
        if self.pause.is_zero() {
            print::say("the API server does not answer; the watch is resumed when it does");
        }
        self.pause = (self.pause * 2).clamp(AGAIN_AFTER, AGAIN_AFTER_MAX);
        Ok(self.pause)
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

    /// Forgets those that are not listed any more.
    fn forget_all_but(&mut self, listed: &[DataMigration]) -> io::Result<()> {
        let names: HashSet<String> = listed.iter().map(ResourceExt::name_any).collect();
        let shown: Vec<&String> = match self {
            Self::Live(_, bars) => bars.keys().collect(),
            Self::Lines(last) => last.keys().collect(),
        };
        let mut gone: Vec<String> =
            shown.into_iter().filter(|name| !names.contains(*name)).cloned().collect();
        gone.sort();
        gone.iter().try_for_each(|name| self.forget(name))
    }

    fn forget(&mut self, name: &str) -> io::Result<()> {
        match self {
            Self::Live(_, bars) => {
                if let Some(bar) = bars.remove(name) {
                    bar.finish_with_message("deleted");
                }
            }
            Self::Lines(last) => {
                last.remove(name);
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
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::describe::text::tests::migration;
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

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

    /// What the API server answers to each list; watches end at once.
    enum Answer {
        Running,
        Applied,
        Nothing,
        Status(u16),
        NoConnection,
    }

    fn cluster(answers: Vec<Answer>) -> Cluster {
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let service = tower::service_fn(move |request: Request<Body>| {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let answer = if is_watch { None } else { answers.lock().unwrap().pop_front() };
            async move {
                let found = |conditions: serde_json::Value| {
                    let status = json!({"observedGeneration": 3, "conditions": conditions});
                    (200, list(&json!([migration(json!({}), status)])))
                };
                let reconciling = json!([{
                    "type": "Reconciling", "status": "True", "reason": "Running", "message": "",
                    "lastTransitionTime": "2026-12-01T10:02:00Z",
                }]);
                let (code, body) = match answer {
                    None => (200, Vec::new()),
                    Some(Answer::Running) => found(reconciling),
                    Some(Answer::Applied) => found(json!([])),
                    Some(Answer::Nothing) => (200, list(&json!([]))),
                    Some(Answer::Status(code)) => {
                        let status = json!({"kind": "Status", "apiVersion": "v1", "code": code});
                        (code, serde_json::to_vec(&status).unwrap())
                    }
                    Some(Answer::NoConnection) => {
                        return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                    }
                };
                let response = Response::builder().status(code).body(Body::from(body));
                Ok::<_, io::Error>(response.unwrap())
            }
        });
        Cluster { client: Client::new(service, "shop"), namespace: "shop".into() }
    }

    fn list(items: &serde_json::Value) -> Vec<u8> {
        let list = json!({
            "apiVersion": "datamigration.dev/v1alpha1", "kind": "DataMigrationList",
            "metadata": {"resourceVersion": "7"}, "items": items,
        });
        serde_json::to_vec(&list).unwrap()
    }

    async fn watched(answers: Vec<Answer>) -> Result<u8, String> {
        let mut view = View::Lines(HashMap::new());
        let watched = watch_in(&cluster(answers), Some("0001-add-price"), &mut view).await;
        watched.map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_the_api_server_is_not_an_end_of_the_run() {
        use Answer::{Applied, NoConnection, Running, Status};
        let answers = vec![Running, NoConnection, Status(500), NoConnection, Applied];
        assert_eq!(watched(answers).await, Ok(0));
        let lasting = std::iter::once(Running).chain((0..60).map(|_| NoConnection));
        assert!(watched(lasting.collect()).await.is_err(), "not for ever");
        assert!(watched(vec![NoConnection, Applied]).await.is_err(), "it never answered");
        for refused in REFUSALS {
            assert!(watched(vec![Running, Status(refused), Applied]).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_that_no_watch_saw_ends_it() {
        assert_eq!(watched(vec![Answer::Running, Answer::Nothing]).await, Ok(1));
        assert_eq!(watched(vec![Answer::Nothing]).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_of_all_ends_when_its_reader_is_gone_though_nothing_changes() {
        let (reader, writer) = io::pipe().unwrap();
        let lists = (0..1_000).map(|_| Answer::Running);
        let cluster = cluster(lists.collect());
        let mut view = View::Lines(HashMap::new());
        let begun = Instant::now();
        let watched = watch_until_unread(&cluster, None, &mut view, &writer);
        let gone = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(reader);
            std::future::pending::<()>().await;
        };
        let code = tokio::select! {
            code = watched => code.unwrap(),
            () = gone => unreachable!("it never ends"),
        };
        assert_eq!(code, 0);
        let after = begun.elapsed();
        assert!((60..63).contains(&after.as_secs()), "{after:?}");
    }
}

//! The guard's control over HTTP: limits that change while a program runs, pause and resume, and
//! what a database that throttles does to the rates by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dm_contract::control::ControlState;
use dm_contract::plan::{Mode, Plan, Policy, RateLimits};
use dm_guard::token::ControlToken;
use dm_guard::{Guard, Options};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::bed::{self, Endpoint, database, fresh_name};
use crate::faults::{Throttling, throttling_proxy};
use crate::suite::table;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A guard that is controlled, the program's client of it, and the controller's.
async fn controlled(plan: &Plan) -> (Guard, Endpoint, Endpoint) {
    controlled_in(plan, None).await
}

/// The same with a folder that outlives it.
async fn controlled_in(plan: &Plan, state: Option<&Path>) -> (Guard, Endpoint, Endpoint) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let token = Some(ControlToken::new(TOKEN).unwrap());
    let state_dir = state.map(Path::to_owned);
    let options = Options {
        part: None,
        listen: any,
        control_listen: any,
        control_token: token,
        state_dir,
        clients: bed::clients(),
    };
    let (guard, through) = bed::guard_with(plan, &options).await;
    let control = Endpoint::new(format!("http://{}", guard.control_address));
    (guard, through, control)
}

async fn asked(control: &Endpoint, method: &str, path: &str, body: &str) -> ControlState {
    let (status, answer) = control.control(method, path, Some(TOKEN), body).await;
    assert_eq!(status, 200, "{method} {path}: {answer}");
    serde_json::from_value(answer).unwrap()
}

async fn fresh_table(what: &str) -> String {
    let name = fresh_name(what);
    database().ok("CreateTable", &table("hash", &name)).await;
    name
}

async fn put(through: &Endpoint, table: &str, id: u64) -> u16 {
    let item = json!({"id": {"S": id.to_string()}});
    through.call("PutItem", &json!({"TableName": table, "Item": item})).await.0
}

/// More than the control serves at once, of one address.
const SILENT: usize = 200;

#[tokio::test]
async fn silent_connections_make_neither_side_of_a_guard_deaf() {
    let plan = bed::plan(Mode::Apply, Policy::default());
    let (guard, through, control) = controlled(&plan).await;
    let open = async |address, count, begin: &'static [u8]| {
        let mut silent = Vec::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begin).await.unwrap();
            silent.push(stream);
        }
        silent
    };
    let mut held = open(guard.control_address, SILENT, b"").await;
    held.extend(open(guard.control_address, SILENT, b"GET /progress HTTP/1.1\r\nhost:").await);
    held.extend(open(guard.program_address, SILENT, b"POST / HTTP/1.1\r\nhost:").await);
    // The probe, and the operator, each on a connection of their own.
    let soon = Duration::from_secs(5);
    let begun = Instant::now();
    assert_eq!(control.control("GET", "/healthz", None, "").await.0, 200);
    assert!(asked(&control, "POST", "/pause", "").await.paused);
    asked(&control, "POST", "/resume", "").await;
    through.ok("ListTables", &json!({})).await;
    assert!(begun.elapsed() < soon, "{:?}", begun.elapsed());
    drop(held);
    guard.stop().await;
}

/// A program of several clients that writes until it learns to end.
struct Program {
    ends: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<u64>>,
}

impl Program {
    fn start(through: &Endpoint, table: &str) -> Self {
        let (ends, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = (0..4)
            .map(|client: u64| {
                let (ends, written) = (Arc::clone(&ends), Arc::clone(&written));
                let (through, table) = (through.clone(), table.to_owned());
                tokio::spawn(async move {
                    let mut errors = 0;
                    while !ends.load(Ordering::SeqCst) {
                        let id = client * 1_000_000 + written.fetch_add(1, Ordering::SeqCst);
                        errors += u64::from(put(&through, &table, id).await != 200);
                    }
                    errors
                })
            })
            .collect();
        Self { ends, written, clients }
    }

    /// Items per second, over this time.
    async fn rate(&self, time: Duration) -> f64 {
        let (before, started) = (self.written.load(Ordering::SeqCst), Instant::now());
        tokio::time::sleep(time).await;
        let written = self.written.load(Ordering::SeqCst) - before;
        f64::from(u32::try_from(written).unwrap()) / started.elapsed().as_secs_f64()
    }

    /// How many errors its clients saw.
    async fn end(self) -> u64 {
        self.ends.store(true, Ordering::SeqCst);
        let mut errors = 0;
        for client in self.clients {
            errors += client.await.unwrap();
        }
        errors
    }
}

#[tokio::test]
async fn whether_it_is_paused_is_told_on_the_programs_side_as_soon_as_it_changes() {
    let plan = bed::plan(Mode::Apply, Policy::default());
    let (guard, through, control) = controlled(&plan).await;
    let paused = async |known: &str| {
        let path = format!("/datamigration/paused?known={known}");
        through.control("GET", &path, Some(bed::ACCESS_KEY), "").await
    };
    let stranger = through.control("GET", "/datamigration/paused?known=true", Some("DM0"), "");
    assert_eq!(stranger.await.0, 401);
    assert_eq!(through.control("POST", "/datamigration/second-pass", None, "").await.0, 401);
    assert_eq!(paused("true").await, (200, json!(false)), "at once: it is not paused");
    let (told, _) = tokio::join!(paused("false"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        asked(&control, "POST", "/pause", "").await
    });
    assert_eq!(told, (200, json!(true)));
    for wrong in ["", "maybe", "true&known=false"] {
        assert_eq!(paused(wrong).await.0, 400, "{wrong}");
    }
    asked(&control, "POST", "/resume", "").await;
    assert_eq!(paused("true").await, (200, json!(false)));
    guard.stop().await;
}

#[tokio::test]
async fn nothing_that_is_asked_for_exceeds_what_the_plan_allows() {
    let writes = |count| RateLimits { writes_per_second: Some(count), ..RateLimits::default() };
    let plan = Plan { limits_max: writes(50), ..bed::plan(Mode::Apply, Policy::default()) };
    let (guard, through, control) = controlled(&plan).await;
    let table = fresh_table("control").await;
    let limits = serde_json::to_string(&writes(5000)).unwrap();
    let state = asked(&control, "PUT", "/limits", &limits).await;
    assert_eq!((state.limits, state.limits_max), (writes(5000), writes(50)));
    let program = Program::start(&through, &table);
    program.rate(Duration::from_millis(500)).await;
    let rate = program.rate(Duration::from_secs(2)).await;
    assert!((25.0..75.0).contains(&rate), "{rate}");
    assert_eq!(program.end().await, 0);
    guard.stop().await;
}

#[tokio::test]
async fn without_the_token_nothing_is_told_or_changed() {
    let plan = bed::plan(Mode::Apply, Policy::default());
    let (guard, through, control) = controlled(&plan).await;
    let calls = [("GET", "/control"), ("PUT", "/limits"), ("POST", "/pause"), ("POST", "/resume")];
    for (method, path) in calls {
        for token in [None, Some("another"), Some("")] {
            let answer = control.control(method, path, token, "{}").await;
            assert_eq!(answer.0, 401, "{method} {path} with {token:?}");
        }
        // On the program's side there is no such thing, whoever asks.
        let (status, answer) = through.control(method, path, Some(TOKEN), "{}").await;
        assert!(status >= 400 && answer.get("paused").is_none(), "{method} {path}: {answer}");
    }
    for (method, path, expected) in
        [("GET", "/pause", 405), ("POST", "/control", 405), ("GET", "/other", 404)]
    {
        assert_eq!(control.control(method, path, Some(TOKEN), "").await.0, expected);
    }
    let state = asked(&control, "GET", "/control", "").await;
    assert_eq!((state.paused, state.limits, state.throttled), (false, RateLimits::default(), 0));
    guard.stop().await;

    // A guard that was given no token cannot be controlled by anybody.
    let (guard, _) = bed::guard(&plan).await;
    let control = Endpoint::new(format!("http://{}", guard.control_address));
    for token in [None, Some(""), Some(TOKEN)] {
        assert_eq!(control.control("POST", "/pause", token, "").await.0, 403);
    }
    guard.stop().await;
}

#[tokio::test]
async fn limits_change_while_a_program_runs() {
    let table = fresh_table("live").await;
    let (guard, through, control) = controlled(&bed::plan(Mode::Apply, Policy::default())).await;
    for wrong in ["", "{", r#"{"writesPerSecond":0}"#, r#"{"writesPerSecond":-1}"#, r#"{"x":1}"#] {
        let (status, _) = control.control("PUT", "/limits", Some(TOKEN), wrong).await;
        assert_eq!(status, 400, "{wrong}");
    }
    let state = asked(&control, "PUT", "/limits", r#"{"writesPerSecond":20}"#).await;
    assert_eq!(state.limits.writes_per_second, Some(20));
    let program = Program::start(&through, &table);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let slow = program.rate(Duration::from_secs(2)).await;
    assert!((10.0..=25.0).contains(&slow), "{slow}");
    asked(&control, "PUT", "/limits", r#"{"writesPerSecond":60}"#).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let faster = program.rate(Duration::from_secs(2)).await;
    assert!((30.0..=75.0).contains(&faster), "{faster}");
    // What is left out is unlimited.
    let state = asked(&control, "PUT", "/limits", "{}").await;
    assert_eq!(state.limits, RateLimits::default());
    assert_eq!(program.end().await, 0);
    guard.stop().await;
}

#[tokio::test]
async fn a_pause_is_a_slow_database_and_ends_where_it_began() {
    let table = fresh_table("paused").await;
    for mode in [Mode::Apply, Mode::DryRun] {
        let (guard, through, control) = controlled(&bed::plan(mode, Policy::default())).await;
        let program = Program::start(&through, &table);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(asked(&control, "POST", "/pause", "").await.paused);
        // What was under way continues to its end; then nothing moves.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(program.rate(Duration::from_secs(2)).await < 0.1);
        let state = asked(&control, "GET", "/control", "").await;
        assert_eq!((state.paused, state.held), (true, 4));
        let state = asked(&control, "POST", "/resume", "").await;
        assert!(!state.paused);
        assert!(program.rate(Duration::from_secs(1)).await > 10.0);
        assert_eq!(program.end().await, 0, "errors that the program saw");
        guard.stop().await;
    }
}

#[tokio::test]
async fn what_its_client_gave_up_during_a_pause_is_not_carried_out() {
    let table = fresh_table("given-up").await;
    let (guard, through, control) = controlled(&bed::plan(Mode::Apply, Policy::default())).await;
    asked(&control, "POST", "/pause", "").await;
    let gave_up = tokio::time::timeout(Duration::from_millis(300), put(&through, &table, 1)).await;
    assert!(gave_up.is_err());
    let left = async {
        while asked(&control, "GET", "/control", "").await.held > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), left).await.expect("it is held no more");
    asked(&control, "POST", "/resume", "").await;
    assert_eq!(put(&through, &table, 2).await, 200);
    assert_eq!(database().items(&table).await, [json!({"id": {"S": "2"}})]);
    assert_eq!(guard.stop().await.write_calls_upstream, 1);
}

#[tokio::test]
async fn a_guard_that_stops_sends_away_what_a_pause_holds() {
    let table = fresh_table("stopped").await;
    let (guard, through, control) = controlled(&bed::plan(Mode::Apply, Policy::default())).await;
    asked(&control, "POST", "/pause", "").await;
    let held = tokio::spawn(async move { put(&through, &table, 1).await });
    while asked(&control, "GET", "/control", "").await.held == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let started = Instant::now();
    assert_eq!(guard.stop().await.write_calls_upstream, 0);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // What SDKs take for a failure of the service, and send again.
    assert_eq!(held.await.unwrap(), 500);
}

#[tokio::test]
async fn a_database_that_throttles_lowers_the_rate_and_it_rises_again_and_the_program_sees_nothing()
{
    let table = fresh_table("throttled").await;
    let throttling = Arc::new(Throttling::default());
    let mut plan = bed::plan(Mode::Apply, Policy::default());
    plan.upstream.endpoint = Some(throttling_proxy(&database().url, Arc::clone(&throttling)).await);
    let (guard, through, control) = controlled(&plan).await;
    let program = Program::start(&through, &table);
    let observed = program.rate(Duration::from_secs(2)).await;
    assert_eq!(asked(&control, "GET", "/control", "").await.lowered, None);

    throttling.force(true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    throttling.force(false);
    let state = asked(&control, "GET", "/control", "").await;
    assert!(state.throttled > 0, "{state:?}");
    let lowered = state.lowered.and_then(|lowered| lowered.writes_per_second).unwrap();
    assert!(f64::from(lowered) < observed * 0.9, "{lowered} of {observed}");
    let slow = program.rate(Duration::from_secs(1)).await;
    assert!(slow < observed * 0.9, "{slow} of {observed}");

    tokio::time::sleep(Duration::from_secs(3)).await;
    let state = asked(&control, "GET", "/control", "").await;
    let risen = state.lowered.map(|lowered| lowered.writes_per_second.unwrap());
    assert!(risen.is_none_or(|risen| risen > lowered), "{risen:?} after {lowered}");
    assert_eq!(program.end().await, 0, "errors that the program saw");
    let state = asked(&control, "GET", "/control", "").await;
    assert_eq!(state.throttled, throttling.throttled(), "each one is counted");
    guard.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_is_started_again_in_a_pause_is_paused() {
    let state = tempfile::tempdir().unwrap();
    let plan = bed::plan(Mode::Apply, Policy::default());
    let table = fresh_table("restarted").await;
    let slow = r#"{"writesPerSecond":40}"#;
    let (first, through, control) = controlled_in(&plan, Some(state.path())).await;
    asked(&control, "PUT", "/limits", slow).await;
    asked(&control, "POST", "/pause", "").await;
    let held = tokio::spawn({
        let (through, table) = (through.clone(), table.clone());
        async move { put(&through, &table, 1).await }
    });
    while asked(&control, "GET", "/control", "").await.held == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    first.stop().await;
    assert_ne!(held.await.unwrap(), 200, "its client is to send it again");

    let (again, through, control) = controlled_in(&plan, Some(state.path())).await;
    let goes = asked(&control, "GET", "/control", "").await;
    assert_eq!((goes.paused, goes.limits.writes_per_second), (true, Some(40)));
    let held = tokio::spawn({
        let (through, table) = (through.clone(), table.clone());
        async move { put(&through, &table, 1).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!held.is_finished() && database().items(&table).await.is_empty());
    asked(&control, "POST", "/resume", "").await;
    assert_eq!(held.await.unwrap(), 200);
    again.stop().await;
    let (third, _, control) = controlled_in(&plan, Some(state.path())).await;
    assert!(!asked(&control, "GET", "/control", "").await.paused);
    third.stop().await;
}

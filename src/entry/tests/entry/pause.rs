//! A program stands still while its guard is paused, and continues afterwards, whatever happens
//! in the meantime.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::pod::Pod;

/// What takes longer than this does not happen.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Writes a line every hundredth of a second, and what it was told in the end.
const TICKS: &str = "trap 'echo told to end; exit 5' TERM HUP\n\
                     trap 'echo told >> told' USR1\n\
                     while :; do echo tick >> ticks; sleep 0.01; done\n";

/// A mock of the guard's one answer, so that a pause comes when a test wants it.
struct Guard {
    address: String,
    paused: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
}

impl Guard {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (paused, gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let guard = Self { address, paused: Arc::clone(&paused), gone: Arc::clone(&gone) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if gone.load(Ordering::SeqCst) || !answer(stream.unwrap(), &paused, &gone) {
                    return;
                }
            }
        });
        guard
    }

    fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }
}

/// Answers as soon as it differs from what is known; whether the guard is still there.
fn answer(mut stream: TcpStream, paused: &AtomicBool, gone: &AtomicBool) -> bool {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    let known = match line.trim() {
        "GET /datamigration/paused?known=true HTTP/1.1" => true,
        "GET /datamigration/paused?known=false HTTP/1.1" => false,
        other => panic!("{other}"),
    };
    while paused.load(Ordering::SeqCst) == known {
        if gone.load(Ordering::SeqCst) {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let said = format!("{}\n", !known);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", said.len());
    // The program may have ended in the meantime.
    stream.write_all((head + &said).as_bytes()).ok();
    true
}

fn start(pod: &Pod, guard: &Guard) -> Child {
    let mut entry = pod.entry();
    entry.args(["--follow-pause", &guard.address, "--script", "main.sh"]).spawn().unwrap()
}

fn ticks(pod: &Pod) -> usize {
    fs::read_to_string(pod.path("work/ticks")).unwrap_or_default().lines().count()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WAIT_MAX, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether nothing is written in a time in which it would write thirty lines.
fn stands_still(pod: &Pod) -> bool {
    let before = ticks(pod);
    thread::sleep(Duration::from_millis(300));
    ticks(pod) == before
}

fn goes(pod: &Pod) {
    let before = ticks(pod);
    until("it goes on", || ticks(pod) > before + 3);
}

fn paused() -> (Pod, Guard, Child) {
    let pod = Pod::new(&[("main.sh", TICKS)]);
    let guard = Guard::new();
    let entry = start(&pod, &guard);
    goes(&pod);
    guard.pause(true);
    until("it stands still", || stands_still(&pod));
    (pod, guard, entry)
}

fn tell(entry: &Child, signal: Signal) {
    kill_process(Pid::from_child(entry), signal).unwrap();
}

#[test]
fn it_stands_still_during_a_pause_and_goes_on() {
    let (pod, guard, entry) = paused();
    for _ in 0..2 {
        guard.pause(false);
        goes(&pod);
        guard.pause(true);
        until("it stands still again", || stands_still(&pod));
    }
    guard.pause(false);
    goes(&pod);
    tell(&entry, Signal::TERM);
    assert_eq!(pod.seen(entry.wait_with_output().unwrap()).code, 5);
}

#[test]
fn what_is_told_to_end_during_a_pause_ends_as_it_likes() {
    for signal in [Signal::TERM, Signal::HUP] {
        let (pod, _guard, entry) = paused();
        tell(&entry, signal);
        let seen = pod.seen(entry.wait_with_output().unwrap());
        // Its shell may say, before or after, that what it waited for was ended.
        let said = seen.result.last_lines.iter().any(|line| line == "told to end");
        assert_eq!((seen.code, said), (5, true), "{:?}", seen.result.last_lines);
    }
}

#[test]
fn another_signal_waits_for_the_end_of_a_pause() {
    let (pod, guard, entry) = paused();
    let told = || fs::exists(pod.path("work/told")).unwrap();
    tell(&entry, Signal::USR1);
    assert!(stands_still(&pod) && !told());
    guard.pause(false);
    until("it is told", told);
    goes(&pod);
    tell(&entry, Signal::TERM);
    assert_eq!(pod.seen(entry.wait_with_output().unwrap()).code, 5);
}

#[test]
fn a_guard_that_is_gone_stops_nobody() {
    let (pod, guard, entry) = paused();
    guard.gone.store(true, Ordering::SeqCst);
    goes(&pod);
    tell(&entry, Signal::TERM);
    assert_eq!(pod.seen(entry.wait_with_output().unwrap()).code, 5);
}

#[test]
fn without_a_guards_address_it_runs_and_says_so() {
    let pod = Pod::new(&[("main.sh", "echo done")]);
    let mut entry = pod.entry();
    let output = entry.args(["--follow-pause", "guard", "--script", "main.sh"]).output().unwrap();
    let seen = pod.seen(output);
    assert_eq!(seen.code, 0);
    assert!(seen.stderr.contains("guard is not the address of a guard"), "{}", seen.stderr);
}

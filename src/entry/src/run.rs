//! Runs the program as process 1 would have to: in a separate process group, with signals
//! forwarded, orphans reaped, and both streams passed on unchanged while copies go to the tail and
//! the log.

use std::env;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::SystemTime;

use dm_contract::error_chain::chain;
use dm_contract::report::{LeftRunning, ProgramResult, SecondRun};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use signal_hook::consts::signal;
use signal_hook::iterator::Signals;

use crate::args::Run;
use crate::descendants::left_running;
use crate::group::{Group, tell};
use crate::guard::Guard;
use crate::leftover::Fresh;
use crate::limits::{CHUNK_BYTES, DRAIN_WAIT, START_ERROR_BYTES_MAX};
use crate::log::{self, Log};
use crate::pause;
use crate::program::{self, Start, StartError};
use crate::proxy;
use crate::result;
use crate::tail::{Stream, Tail, cut};

/// Signals that are passed on: all that somebody may send to end or to tell a program something.
const FORWARDED: [i32; 7] = [
    signal::SIGTERM,
    signal::SIGINT,
    signal::SIGHUP,
    signal::SIGQUIT,
    signal::SIGUSR1,
    signal::SIGUSR2,
    signal::SIGWINCH,
];

/// Those of them that end a program, unless it sees to that itself.
const ENDING: [i32; 4] = [signal::SIGTERM, signal::SIGINT, signal::SIGHUP, signal::SIGQUIT];

/// The exit code where neither a program's nor a signal's applies.
const EXIT_OURS: i32 = 125;

/// Runs the program to its end and writes the result; the exit code to end with.
pub fn run(run: &Run) -> u8 {
    let (result, exit_code) = match start_and_wait(run) {
        Ok((result, exit_code)) => (result, exit_code),
        Err(error) => {
            let message = chain(&error);
            warn(&message);
            (result::not_started(&message), error.exit_code())
        }
    };
    leave(run, result);
    exit_code
}

/// Leaves the result where the kubelet and the guard look for it.
fn leave(run: &Run, result: ProgramResult) {
    let written = result::to_json(result).map_err(io::Error::other).and_then(|json| {
        let told = result::write(&json, &run.termination_log);
        if let Some(dir) = &run.log_dir
            && let Err(error) = log::write_result(dir, &json)
        {
            warn(&format!("the result could not be kept in {}: {error}", dir.display()));
        }
        told
    });
    if let Err(error) = written {
        let log = run.termination_log.display();
        warn(&format!("the result could not be written to {log}: {error}"));
    }
}

/// Prints a message next to the program's output, and ignores a closed standard error.
fn warn(message: &str) {
    writeln!(io::stderr(), "datamigration-entry: {message}").ok();
}

fn start_and_wait(run: &Run) -> Result<(ProgramResult, u8), StartError> {
    let path = env::var_os("PATH");
    // A relative path would mean another place once the program is in the folder.
    let dir = std::path::absolute(&run.dir).map_err(|_| StartError::Dir(run.dir.clone()))?;
    let start = program::resolve(&dir, &run.program, path.as_deref())?;
    // Everything that can fail comes before the program runs.
    let Forwarding { group, asked_to_end, ending_signal } =
        forward_signals().map_err(StartError::Setup)?;
    // Orphans come to process 1; here also where that is somebody else (a shared namespace).
    rustix::process::set_child_subreaper(rustix::process::getpid().into()).ok();
    let log = run.log_dir.as_deref().map(Log::create);
    let copies = Arc::new(Mutex::new(Copies { tail: Tail::default(), log }));
    let streams = Streams::open(&copies).map_err(StartError::Setup)?;

    let fresh = run.second_pass.is_some().then(|| Fresh::of(&run.dir, &dir));
    let started_at = SystemTime::now();
    let child = spawn(&dir, &start, streams.out, streams.err)?;
    group.is(child);
    if let Some(guard) = &run.follow_pause {
        let followed = Guard::at(guard).map_err(io::Error::other);
        let followed = followed
            .and_then(|guard| pause::follow(guard, Arc::clone(&group), Arc::clone(&asked_to_end)));
        if let Err(error) = followed {
            warn(&format!("the program will not be stopped during a pause: {error}"));
        }
    }
    let status = wait_for(child);
    let finished_at = SystemTime::now();
    // Noted before it was passed on, so a program that ended because of it is known for that.
    let asked_to_end_by = Some(ending_signal.load(Ordering::SeqCst)).filter(|signal| *signal != 0);

    let left = match asked_to_end_by {
        None => left(status, &asked_to_end),
        Some(_) => None,
    };
    drain(&streams.done);
    let (last_lines, log_problem) = {
        let copies = copies.lock();
        let problem = copies.log.as_ref().and_then(Log::problem).map(str::to_owned);
        (copies.tail.lines(), problem)
    };
    let result = ProgramResult {
        started_at: Some(result::timestamp(started_at)),
        finished_at: Some(result::timestamp(finished_at)),
        exit_code: status.and_then(WaitStatus::exit_status),
        signal: status.and_then(WaitStatus::terminating_signal),
        asked_to_end: asked_to_end_by,
        last_lines,
        log_problem,
        second_run: second_run(run, status.filter(|_| left.is_none()), fresh, || {
            if asked_to_end.load(Ordering::SeqCst) {
                return Err("the run was being stopped".to_owned());
            }
            let again = spawn(&dir, &start, Stdio::inherit(), Stdio::inherit());
            let child = again.map_err(|error| chain(&error))?;
            group.is(child);
            Ok(wait_for(child))
        }),
        left_running: left,
        ..result::empty()
    };
    let exit_code = exit_code(&result);
    Ok((result, u8::try_from(exit_code).unwrap_or(u8::MAX)))
}

/// What the container ends with.
fn exit_code(result: &ProgramResult) -> i32 {
    match (result.exit_code, result.signal) {
        // It is not complete, so neither is its Job.
        (Some(0), _) if let Some(signal) = result.interrupted() => 128 + signal,
        (Some(0), _) if result.left_running.is_some() => EXIT_OURS,
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => EXIT_OURS,
    }
}

/// What a program that ended well has left running.
fn left(status: Option<WaitStatus>, asked_to_end: &AtomicBool) -> Option<LeftRunning> {
    if status.and_then(WaitStatus::exit_status) != Some(0) {
        return None;
    }
    let left = left_running(asked_to_end).unwrap_or_else(|error| {
        warn(&format!("what the program left running is not known: {error}"));
        None
    });
    if let Some(left) = &left {
        warn(&format!(
            "the program ended with exit code 0, but {left}. The run has failed: let the program \
             wait for the processes that it starts"
        ));
    }
    left
}

/// Runs the program again, if that is wanted and it ended well.
fn second_run(
    run: &Run,
    first: Option<WaitStatus>,
    fresh: Option<Fresh>,
    again: impl FnOnce() -> Result<Option<WaitStatus>, String>,
) -> Option<SecondRun> {
    let guard = run.second_pass.as_deref()?;
    if first.and_then(WaitStatus::exit_status) != Some(0) {
        return None;
    }
    let told = fresh.map_or(Ok(()), Fresh::begin).and_then(|()| {
        let told = Guard::at(guard).and_then(Guard::begin_second_pass);
        told.map_err(|error| chain(&error))
    });
    let ended = told.and_then(|()| {
        warn("the program runs a second time, over what it wrote");
        again()
    });
    Some(match ended {
        Ok(status) => SecondRun {
            exit_code: status.and_then(WaitStatus::exit_status),
            signal: status.and_then(WaitStatus::terminating_signal),
            not_run: None,
        },
        Err(why) => {
            warn(&format!("the program did not run a second time: {why}"));
            let why = cut(&why, START_ERROR_BYTES_MAX);
            SecondRun { not_run: Some(why), ..SecondRun::default() }
        }
    })
}

/// Starts the program, whose group has its process id.
fn spawn(dir: &Path, start: &Start, out: Stdio, err: Stdio) -> Result<Pid, StartError> {
    let mut command = Command::new(&start.file);
    command.args(&start.args).current_dir(dir).process_group(0).stdout(out).stderr(err);
    command.envs(proxy::variables(|name| env::var_os(name)));
    let child = command.spawn().map_err(|source| StartError::refused(&start.file, source))?;
    // Waiting is done below, for all children at once.
    Ok(Pid::from_child(&child))
}

/// Signals on their way to the program.
struct Forwarding {
    group: Arc<Group>,
    /// Whether one of them was to end the program.
    asked_to_end: Arc<AtomicBool>,
    /// Which of them was, 0 if none: the first.
    ending_signal: Arc<AtomicI32>,
}

/// Takes signals from now on; they are passed on once the group is known, none is lost before.
fn forward_signals() -> io::Result<Forwarding> {
    let mut signals = Signals::new(FORWARDED)?;
    let group = Arc::new(Group::default());
    let asked_to_end = Arc::new(AtomicBool::new(false));
    let ending_signal = Arc::new(AtomicI32::new(0));
    let (to, asked) = (Arc::clone(&group), Arc::clone(&asked_to_end));
    let first = Arc::clone(&ending_signal);
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in &mut signals {
            let to = to.wait();
            let ends = ENDING.contains(&signal);
            if ends {
                asked.store(true, Ordering::SeqCst);
                first.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).ok();
            }
            if let Some(signal) = Signal::from_named_raw(signal) {
                tell(to, signal);
            }
            if ends {
                // One that is stopped does not see it before it continues. Another signal waits.
                pause::go_on(to);
            }
        }
    })?;
    Ok(Forwarding { group, asked_to_end, ending_signal })
}

/// Reaps whatever ends until it is the program; `None` if it is nobody's child any more.
fn wait_for(child: Pid) -> Option<WaitStatus> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => return Some(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// What is kept of the output.
struct Copies {
    tail: Tail,
    log: Option<Log>,
}

impl Copies {
    fn push(&mut self, stream: Stream, chunk: &[u8]) {
        self.tail.push(stream, chunk);
        if let Some(log) = &mut self.log {
            log.push(chunk);
        }
    }
}

/// The writing ends of the program's streams, and word that both came to their end.
struct Streams {
    out: Stdio,
    err: Stdio,
    done: Receiver<()>,
}

impl Streams {
    fn open(copies: &Arc<Mutex<Copies>>) -> io::Result<Self> {
        let (out, out_writer) = Tee::open(Stream::Out, io::stdout().as_fd())?;
        let (err, err_writer) = Tee::open(Stream::Err, io::stderr().as_fd())?;
        let (sender, done) = mpsc::channel();
        let copies = Arc::clone(copies);
        thread::Builder::new().name("streams".into()).spawn(move || {
            pass_on([out, err], &copies);
            sender.send(()).ok();
        })?;
        Ok(Self { out: out_writer.into(), err: err_writer.into(), done })
    }
}

/// One stream on its way from the program to where this program's own goes.
struct Tee {
    stream: Stream,
    from: PipeReader,
    /// `None` where nobody reads it any more; the program must not notice.
    to: Option<File>,
}

impl Tee {
    fn open(stream: Stream, own: BorrowedFd) -> io::Result<(Self, PipeWriter)> {
        let (from, writer) = io::pipe()?;
        let to = Some(File::from(own.try_clone_to_owned()?));
        Ok((Self { stream, from, to }, writer))
    }

    /// Passes on what is there; whether there may be more.
    fn pass_on(&mut self, chunk: &mut [u8], copies: &Mutex<Copies>) -> bool {
        let read = match self.from.read(chunk) {
            Ok(0) => return false,
            Ok(read) => &chunk[..read],
            Err(error) => return error.kind() == io::ErrorKind::Interrupted,
        };
        copies.lock().push(self.stream, read);
        if self.to.as_mut().is_some_and(|to| to.write_all(read).is_err()) {
            self.to = None;
        }
        true
    }
}

/// Passes on what is read as soon as it is read, until the last writers are gone. One thread for
/// both streams keeps the lines in order as far as two pipes allow; an error comes after its
/// output.
fn pass_on(tees: [Tee; 2], copies: &Mutex<Copies>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut open = Vec::from(tees);
    while !open.is_empty() {
        let mut polled: Vec<_> =
            open.iter().map(|tee| PollFd::new(&tee.from, PollFlags::IN)).collect();
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        open.retain_mut(|tee| !ready.next().unwrap_or(false) || tee.pass_on(&mut chunk, copies));
    }
}

/// Waits for both streams to end, but not for those who inherited them.
fn drain(done: &Receiver<()>) {
    done.recv_timeout(DRAIN_WAIT).ok();
}

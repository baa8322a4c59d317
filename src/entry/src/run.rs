//! Runs the program as process 1 would have to: in a process group of its own, with signals
//! forwarded, orphans reaped, and both streams passed on unchanged while a copy goes to the tail.

use std::env;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime};

use dm_core::report::ProgramResult;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use signal_hook::consts::signal;
use signal_hook::iterator::Signals;

use crate::args::Run;
use crate::limits::{CHUNK_BYTES, DRAIN_WAIT};
use crate::program::{self, Start, StartError};
use crate::result;
use crate::tail::{Stream, Tail};

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

/// Runs the program to its end and writes the result; the exit code to end with.
pub fn run(run: &Run) -> u8 {
    let (result, exit_code) = match start_and_wait(run) {
        Ok((result, exit_code)) => (result, exit_code),
        Err(error) => {
            let message = crate::chain(&error);
            warn(&message);
            (result::not_started(&message), error.exit_code())
        }
    };
    if let Err(error) = result::write(result, &run.termination_log) {
        let log = run.termination_log.display();
        warn(&format!("the result could not be written to {log}: {error}"));
    }
    exit_code
}

/// Says something of its own beside the program's output; where nobody listens, that is fine.
fn warn(message: &str) {
    writeln!(io::stderr(), "datamigration-entry: {message}").ok();
}

fn start_and_wait(run: &Run) -> Result<(ProgramResult, u8), StartError> {
    let path = env::var_os("PATH");
    let start = program::resolve(&run.dir, &run.program, path.as_deref())?;
    // Everything that can fail comes before the program runs.
    let tell_group = forward_signals().map_err(StartError::Setup)?;
    // Orphans come to process 1; here also where that is somebody else (a shared namespace).
    rustix::process::set_child_subreaper(rustix::process::getpid().into()).ok();
    let tail = Arc::new(Mutex::new(Tail::default()));
    let streams = Streams::open(&tail).map_err(StartError::Setup)?;

    let started_at = SystemTime::now();
    let child = spawn(run, &start, streams.out, streams.err)?;
    tell_group.send(child).ok();
    let status = wait_for(child);
    let finished_at = SystemTime::now();

    drain(&streams.done);
    let result = ProgramResult {
        started_at: Some(result::timestamp(started_at)),
        finished_at: Some(result::timestamp(finished_at)),
        exit_code: status.and_then(WaitStatus::exit_status),
        signal: status.and_then(WaitStatus::terminating_signal),
        last_lines: tail.lock().unwrap_or_else(PoisonError::into_inner).lines(),
        ..result::empty()
    };
    let exit_code = match (result.exit_code, result.signal) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 125,
    };
    Ok((result, u8::try_from(exit_code).unwrap_or(u8::MAX)))
}

/// Starts the program, whose group has its process id.
fn spawn(run: &Run, start: &Start, out: Stdio, err: Stdio) -> Result<Pid, StartError> {
    let mut command = Command::new(&start.file);
    command.args(&start.args).current_dir(&run.dir).process_group(0).stdout(out).stderr(err);
    let child = command.spawn().map_err(|source| StartError::refused(&start.file, source))?;
    // Waiting is done below, for all children at once.
    Ok(Pid::from_child(&child))
}

/// Takes signals from now on; they are passed on once the group is known, none is lost before.
fn forward_signals() -> io::Result<Sender<Pid>> {
    let mut signals = Signals::new(FORWARDED)?;
    let (sender, group) = mpsc::channel();
    thread::Builder::new().name("signals".into()).spawn(move || {
        let Ok(group) = group.recv() else { return };
        for signal in &mut signals {
            if let Some(signal) = Signal::from_named_raw(signal) {
                // It fails when the whole group has ended, and then nobody is left to tell.
                rustix::process::kill_process_group(group, signal).ok();
            }
        }
    })?;
    Ok(sender)
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

/// The writing ends of the program's streams, and word of each that came to its end.
struct Streams {
    out: Stdio,
    err: Stdio,
    done: Receiver<()>,
}

impl Streams {
    fn open(tail: &Arc<Mutex<Tail>>) -> io::Result<Self> {
        let (sender, done) = mpsc::channel();
        let out = io::stdout().as_fd().try_clone_to_owned()?;
        let out = pipe_to(out, Stream::Out, tail, sender.clone())?;
        let err = io::stderr().as_fd().try_clone_to_owned()?;
        let err = pipe_to(err, Stream::Err, tail, sender)?;
        Ok(Self { out, err, done })
    }
}

fn pipe_to(
    to: OwnedFd,
    stream: Stream,
    tail: &Arc<Mutex<Tail>>,
    done: Sender<()>,
) -> io::Result<Stdio> {
    let (reader, writer) = io::pipe()?;
    let tail = Arc::clone(tail);
    thread::Builder::new().name(format!("{stream:?}")).spawn(move || {
        tee(reader, File::from(to), stream, &tail);
        done.send(()).ok();
    })?;
    Ok(writer.into())
}

/// Passes on what is read as soon as it is read, until the last writer is gone.
fn tee(mut from: PipeReader, to: File, stream: Stream, tail: &Mutex<Tail>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut to = Some(to);
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return,
            Ok(read) => &chunk[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(stream, read);
        // Where nobody reads the log any more, the program must not notice.
        if to.as_mut().is_some_and(|to| to.write_all(read).is_err()) {
            to = None;
        }
    }
}

/// Waits for both streams to end, but not for those who inherited them.
fn drain(done: &Receiver<()>) {
    let end = Instant::now() + DRAIN_WAIT;
    for _ in 0..2 {
        done.recv_timeout(end.saturating_duration_since(Instant::now())).ok();
    }
}

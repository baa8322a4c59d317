//! Signals that are passed on to the program.

use std::io;
use std::os::fd::AsFd as _;

use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// All that somebody may send to end or to tell a program something.
const FORWARDED: [Signal; 6] =
    [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP, Signal::USR1, Signal::USR2];

/// Those that ask a program to end. A program that ends with 0 after one did not do its work.
const STOPPING: [Signal; 4] = [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP];

/// Whether a signal asks a program to end.
pub fn stops(signal: Signal) -> bool {
    STOPPING.contains(&signal)
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Which.
    pub signal: Signal,
    /// Whether the program did not get it by itself.
    pub pass_on: bool,
}

/// Signals that arrived here; from when it exists none ends this process.
#[derive(Debug)]
pub struct Forwarded(mpsc::Receiver<Signal>);

impl Forwarded {
    /// Takes them from now on.
    pub fn new() -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(FORWARDED.len());
        for one in FORWARDED {
            let mut arrivals = signal(SignalKind::from_raw(one.as_raw()))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while arrivals.recv().await.is_some() {
                    if sender.send(one).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self(receiver))
    }

    /// The next one.
    pub async fn next(&mut self) -> Arrived {
        match self.0.recv().await {
            // A terminal sends these to the whole foreground group, the program included.
            Some(signal @ (Signal::INT | Signal::QUIT)) => {
                Arrived { signal, pass_on: !in_foreground() }
            }
            Some(signal) => Arrived { signal, pass_on: true },
            None => std::future::pending().await,
        }
    }
}

/// Passes a signal on; a program that has ended cannot be told any more.
pub fn pass_on(signal: Signal, program: u32) {
    let program = i32::try_from(program).ok().and_then(Pid::from_raw);
    if let Some(program) = program {
        rustix::process::kill_process(program, signal).ok();
    }
}

/// Whether this process, and with it the program, is what the terminal's keys are for.
fn in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(terminal.as_fd())
        .is_ok_and(|group| group == rustix::process::getpgrp())
}

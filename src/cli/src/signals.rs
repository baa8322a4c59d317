//! Signals that are passed on to the program.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;

use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Every signal that a person or a supervisor sends to a program.
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
    pub signal: Signal,
    /// Whether the signal must be passed on, because the program did not receive it.
    pub pass_on: bool,
}

/// Signals that this process received. While this exists, none of them ends the process.
#[derive(Debug)]
pub struct Forwarded {
    arrivals: mpsc::Receiver<Signal>,
    asked_to_end: bool,
}

impl Forwarded {
    /// Takes every signal that a program can be sent and that this process does not ignore.
    ///
    /// `nohup` and a shell's `&` start a process with signals ignored. A handler would end that,
    /// for the program as well: execve(2) keeps what is ignored, and resets what is handled.
    pub fn new() -> io::Result<Self> {
        let taken: Vec<Signal> = FORWARDED.into_iter().filter(|one| !ignores(*one)).collect();
        Self::of(&taken)
    }

    /// Takes only the signals that end a server, even if a script's `&` made the shell ignore
    /// SIGINT: a server has no other end. `nohup` must keep its effect on SIGHUP, which a terminal
    /// that is closed sends.
    pub fn of_server() -> io::Result<Self> {
        let hangs_up = (!ignores(Signal::HUP)).then_some(Signal::HUP);
        let taken: Vec<Signal> = [Signal::INT, Signal::TERM].into_iter().chain(hangs_up).collect();
        Self::of(&taken)
    }

    fn of(signals: &[Signal]) -> io::Result<Self> {
        let (sender, arrivals) = mpsc::channel(FORWARDED.len());
        for one in signals.iter().copied() {
            let mut source = signal(SignalKind::from_raw(one.as_raw()))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while source.recv().await.is_some() {
                    if sender.send(one).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { arrivals, asked_to_end: false })
    }

    pub async fn next(&mut self) -> Arrived {
        let arrived = self.arrivals.recv().await;
        self.asked_to_end |= arrived.is_some_and(stops);
        match arrived {
            // A terminal sends these to the whole foreground group, the program included.
            Some(signal @ (Signal::INT | Signal::QUIT)) => {
                Arrived { signal, pass_on: !in_foreground() }
            }
            Some(signal) => Arrived { signal, pass_on: true },
            None => std::future::pending().await,
        }
    }

    /// Waits for a signal that asks to end, and returns it.
    pub async fn asked_to_end(&mut self) -> Signal {
        loop {
            let Arrived { signal, .. } = self.next().await;
            if stops(signal) {
                return signal;
            }
        }
    }

    /// Waits for a signal that asks to end after an earlier one did. The first may arrive together
    /// with the end of the program that it ended.
    pub async fn asked_again(&mut self) {
        if !self.asked_to_end {
            self.asked_to_end().await;
        }
        self.asked_to_end().await;
    }
}

/// Passes a signal on, unless the program has ended.
pub fn pass_on(signal: Signal, program: u32) {
    let program = i32::try_from(program).ok().and_then(Pid::from_raw);
    if let Some(program) = program {
        rustix::process::kill_process(program, signal).ok();
    }
}

/// Whether this process ignores it.
fn ignores(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    has(ignored(&status), signal)
}

/// The signals that a process ignores, a bit for each, by its status in proc(5).
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn has(mask: u64, signal: Signal) -> bool {
    mask >> (signal.as_raw() - 1) & 1 == 1
}

/// Whether this process, and with it the program, is what the terminal's keys are for.
fn in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(terminal.as_fd())
        .is_ok_and(|group| group == rustix::process::getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &str, expected: &[Signal]) {
        let mask = ignored(status);
        let found: Vec<Signal> = FORWARDED.into_iter().filter(|one| has(mask, *one)).collect();
        assert_eq!(found, expected, "{status}");
    }

    #[test]
    fn what_is_ignored_is_read_from_the_mask() {
        check("SigBlk:\tffffffffffffffff\nSigIgn:\t0000000000000001\n", &[Signal::HUP]);
        check("SigIgn:\t0000000000001006\n", &[Signal::INT, Signal::QUIT]);
        check("SigIgn:\tffffffffffffffff\n", &FORWARDED);
        check("SigIgn:\t0000000000000000\n", &[]);
        check("", &[]);
    }
}

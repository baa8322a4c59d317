//! Stops the program while its guard is paused. Its requests are held anyway; but an SDK that is not
//! answered for some minutes gives up, and a program that stands still does not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::guard::Guard;
use crate::limits::{GUARD_RETRY, RESUME_AFTER};

/// Follows the guard for as long as this program runs. What is asked to end is not stopped.
pub fn follow(guard: Guard, group: Pid, asked_to_end: Arc<AtomicBool>) -> io::Result<()> {
    thread::Builder::new().name("pause".into()).spawn(move || {
        let mut stopped = false;
        while !asked_to_end.load(Ordering::SeqCst) {
            let paused = guard.is_paused(stopped);
            let failed = paused.is_err();
            // A guard that does not answer holds nothing either: the program is to see that, as it
            // would without this.
            let paused = paused.unwrap_or(false);
            if paused && !stopped {
                kill_process_group(group, Signal::STOP).ok();
            }
            if stopped && !paused {
                // By then what was held is answered, so that no clock of the program's has run out.
                thread::sleep(RESUME_AFTER);
                go_on(group);
            }
            stopped = paused;
            if failed {
                thread::sleep(GUARD_RETRY);
            }
        }
        // It may have been stopped after it was asked to end, and would never know.
        go_on(group);
    })?;
    Ok(())
}

/// Lets the group go on, if it is stopped.
pub fn go_on(group: Pid) {
    kill_process_group(group, Signal::CONT).ok();
}

//! Stops the program while its guard is paused. Its requests are held anyway; but an SDK that is
//! not answered for some minutes gives up, and a stopped program does not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Pid, Signal};

use crate::group::{Group, tell};
use crate::guard::Guard;
use crate::limits::{GUARD_RETRY, RESUME_AFTER};

/// Follows the guard for as long as this program runs. What is asked to end is not stopped.
pub fn follow(guard: Guard, group: Arc<Group>, asked_to_end: Arc<AtomicBool>) -> io::Result<()> {
    thread::Builder::new().name("pause".into()).spawn(move || {
        let mut stopped: Option<Pid> = None;
        while !asked_to_end.load(Ordering::SeqCst) {
            let paused = guard.is_paused(stopped.is_some());
            let failed = paused.is_err();
            // A guard that does not answer holds nothing either: the program is to see that, as it
            // would without this.
            if paused.unwrap_or(false) {
                let now = group.wait();
                if stopped.replace(now) != Some(now) {
                    tell(now, Signal::STOP);
                }
            } else if let Some(stopped) = stopped.take() {
                // By then what was held is answered, so that no clock of the program's has run out.
                thread::sleep(RESUME_AFTER);
                go_on(stopped);
            }
            if failed {
                thread::sleep(GUARD_RETRY);
            }
        }
        // It may have been stopped after it was asked to end, and would never know.
        go_on(group.wait());
    })?;
    Ok(())
}

/// Resumes a process group, if it is stopped.
pub fn go_on(group: Pid) {
    tell(group, Signal::CONT);
}

//! The process group of the program, which is another one when it runs a second time.

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process_group};

/// The group that runs now, for those who tell it something.
#[derive(Debug, Default)]
pub struct Group {
    now: Mutex<Option<Pid>>,
    known: Condvar,
}

impl Group {
    /// It is this one from now on.
    pub fn is(&self, group: Pid) {
        *self.now.lock() = Some(group);
        self.known.notify_all();
    }

    /// Which it is, as soon as there is one.
    pub fn wait(&self) -> Pid {
        let mut now = self.now.lock();
        loop {
            match *now {
                Some(group) => return group,
                None => self.known.wait(&mut now),
            }
        }
    }
}

/// Sends a signal to a whole group. That fails when all of it has ended, and then nobody is left to
/// tell.
pub fn tell(group: Pid, signal: Signal) {
    kill_process_group(group, signal).ok();
}

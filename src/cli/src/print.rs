//! Where output goes: answers to standard output, everything about a program to standard error,
//! which is not the program's own. A reader that went away is no error.

use std::io::{self, Write};

/// Writes an answer.
pub fn answer(text: &str) -> io::Result<()> {
    heard(io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()))
}

/// Says something beside a program's output; where nobody listens, that is fine.
pub fn say(text: &str) {
    let mut errors = io::stderr().lock();
    errors.write_all(text.as_bytes()).and_then(|()| errors.write_all(b"\n")).ok();
}

/// Nobody reads any more, as after `| head`.
pub fn heard(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

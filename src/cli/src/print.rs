//! Where output goes: answers to standard output, everything about a program to standard error,
//! which is not the program's own. A reader that went away is no error.

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Between two checks whether standard output has a reader: a pipeline ends this much after its
/// last command.
const READER_CHECK_PERIOD: Duration = Duration::from_millis(500);

pub fn answer(text: &str) -> io::Result<()> {
    bytes(text.as_bytes()).map(|_| ())
}

/// Writes a piece of an answer at once; whether there is still a reader.
pub fn bytes(bytes: &[u8]) -> io::Result<bool> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Ok(()) => Ok(true),
        // Nobody reads any more, as after `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until nobody reads this output any more, as after `| head`. A write would find that out,
/// but there may be nothing more to write.
pub async fn unread(output: impl AsFd) {
    while has_reader(&output) {
        tokio::time::sleep(READER_CHECK_PERIOD).await;
    }
}

/// Whether an output has a reader. Files and terminals always have one.
fn has_reader(output: &impl AsFd) -> bool {
    // A pipe reports an error or a hangup without being asked for it (poll(2)).
    let mut polled = [PollFd::new(output, PollFlags::empty())];
    match poll(&mut polled, Some(&Timespec::default())) {
        Ok(_) => !polled[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
        Err(_) => true,
    }
}

/// Prints a message next to a program's output, and ignores a closed standard error.
pub fn say(text: &str) {
    let mut errors = io::stderr().lock();
    errors.write_all(text.as_bytes()).and_then(|()| errors.write_all(b"\n")).ok();
}

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    Yes,
    /// No, or nothing clear.
    No,
    /// Standard input is no terminal.
    NobodyThere,
}

/// Asks a person.
pub fn confirm(question: &str) -> io::Result<Confirmed> {
    if !io::stdin().is_terminal() {
        return Ok(Confirmed::NobodyThere);
    }
    let mut errors = io::stderr().lock();
    write!(errors, "{question} [y/N] ")?;
    errors.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let yes = ["y", "yes"].contains(&line.trim().to_lowercase().as_str());
    Ok(if yes { Confirmed::Yes } else { Confirmed::No })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_has_a_reader_until_that_is_closed_and_a_file_always() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"a line").unwrap();
        assert!(has_reader(&writer));
        drop(reader);
        assert!(!has_reader(&writer));
        assert!(has_reader(&tempfile::tempfile().unwrap()));
    }
}

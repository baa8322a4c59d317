//! Where output goes: answers to standard output, everything about a program to standard error,
//! which is not the program's own. A reader that went away is no error.

use std::io::{self, IsTerminal as _, Write};

/// Writes an answer.
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

/// Says something beside a program's output; where nobody listens, that is fine.
pub fn say(text: &str) {
    let mut errors = io::stderr().lock();
    errors.write_all(text.as_bytes()).and_then(|()| errors.write_all(b"\n")).ok();
}

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// Yes.
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

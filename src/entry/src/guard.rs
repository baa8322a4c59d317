//! What this program says to the guard and asks it: one request over loopback each.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use dm_contract::plan::{PAUSED_PATH, SECOND_PASS_PATH};
use dm_contract::transform::{TRANSFORM_PATH, TransformState};

use crate::limits::{
    GUARD_ANSWER_BYTES_MAX, GUARD_ANSWER_MAX, GUARD_ORDER_MAX, GUARD_PAUSED_MAX,
    GUARD_STATE_BYTES_MAX,
};

/// Why the guard was not told, or did not answer as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The address in the arguments.
    #[error("{0} is not the address of a guard")]
    Address(String),
    #[error("asking the guard")]
    Connection(#[from] io::Error),
    /// It was started again, and knows of no transform.
    #[error("the guard knows of no transform")]
    NoTransform,
    #[error("the guard refused: {0}")]
    Refused(String),
}

/// A guard on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Guard(SocketAddr);

impl Guard {
    /// At this address, an IP address and a port.
    pub fn at(address: &str) -> Result<Self, GuardError> {
        let parsed = address.parse().map_err(|_| GuardError::Address(address.to_owned()));
        parsed.map(Self)
    }

    /// Tells it that what comes from now on is the second pass.
    pub fn begin_second_pass(self) -> Result<(), GuardError> {
        self.ask("POST", SECOND_PASS_PATH, GUARD_ANSWER_MAX).map(|_| ())
    }

    /// Whether it is paused. Answers as soon as that differs from what is known, or after a while.
    pub fn is_paused(self, known: bool) -> Result<bool, GuardError> {
        let said = self.ask("GET", &format!("{PAUSED_PATH}?known={known}"), GUARD_PAUSED_MAX)?;
        said.parse().map_err(|_| GuardError::Refused(said))
    }

    /// Has it begin a transform.
    pub fn begin_transform(self, order: &str) -> Result<(), GuardError> {
        self.send("POST", TRANSFORM_PATH, order, (GUARD_ORDER_MAX, GUARD_ANSWER_BYTES_MAX))
            .map(drop)
    }

    /// How the transform is, as soon as it has ended, or after a while.
    pub fn transform_state(self) -> Result<Option<TransformState>, GuardError> {
        let bounds = (GUARD_PAUSED_MAX, GUARD_STATE_BYTES_MAX);
        let said = self.send("GET", TRANSFORM_PATH, "", bounds)?;
        serde_json::from_str(&said).map(Some).map_err(|_| GuardError::Refused(said))
    }

    /// The last line of what it answers.
    fn ask(self, method: &str, path: &str, answer_max: Duration) -> Result<String, GuardError> {
        self.send(method, path, "", (answer_max, GUARD_ANSWER_BYTES_MAX))
    }

    /// The same for a request with a body, within a time and a number of bytes.
    fn send(
        self,
        method: &str,
        path: &str,
        body: &str,
        (answer_max, bytes_max): (Duration, u64),
    ) -> Result<String, GuardError> {
        let mut stream = TcpStream::connect_timeout(&self.0, GUARD_ANSWER_MAX)?;
        stream.set_read_timeout(Some(answer_max))?;
        stream.set_write_timeout(Some(GUARD_ANSWER_MAX))?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}Content-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.0,
            authorization(),
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.take(bytes_max).read_to_string(&mut answer)?;
        if answer.is_empty() {
            // It ended before it answered.
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let said = answer.lines().last().unwrap_or_default().to_owned();
        if answer.starts_with("HTTP/1.1 200 ") {
            Ok(said)
        } else if path == TRANSFORM_PATH && answer.starts_with("HTTP/1.1 404 ") {
            Err(GuardError::NoTransform)
        } else {
            Err(GuardError::Refused(said))
        }
    }
}

/// The header that shows the program's access key, by which the guard knows this pod's own.
fn authorization() -> String {
    let key = env::var("AWS_ACCESS_KEY_ID").unwrap_or_default();
    if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") }
}

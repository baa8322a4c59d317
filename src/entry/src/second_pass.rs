//! Tells the guard of a dry run that the program now runs a second time: one request over loopback.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use dm_core::plan::SECOND_PASS_PATH;

use crate::limits::{GUARD_ANSWER_BYTES_MAX, GUARD_ANSWER_MAX};

/// Why the guard was not told, or does not want to know.
#[derive(Debug, thiserror::Error)]
pub enum SecondPassError {
    /// The address in the arguments.
    #[error("{0} is not the address of a guard")]
    Address(String),
    /// The connection.
    #[error("telling the guard")]
    Connection(#[from] io::Error),
    /// Its answer.
    #[error("the guard refused: {0}")]
    Refused(String),
}

/// Tells it; what comes from then on is the second pass.
pub fn ask(guard: &str) -> Result<(), SecondPassError> {
    let address: SocketAddr =
        guard.parse().map_err(|_| SecondPassError::Address(guard.to_owned()))?;
    let mut stream = TcpStream::connect_timeout(&address, GUARD_ANSWER_MAX)?;
    stream.set_read_timeout(Some(GUARD_ANSWER_MAX))?;
    stream.set_write_timeout(Some(GUARD_ANSWER_MAX))?;
    let request = format!(
        "POST {SECOND_PASS_PATH} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(GUARD_ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let said = answer.lines().last().unwrap_or_default();
    Err(SecondPassError::Refused(said.to_owned()))
}

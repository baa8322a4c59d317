//! A mock of the database for tests: faults of a real one cannot be had.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use dm_contract::plan::Upstream as UpstreamPlan;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::upstream::CredentialSource;

pub struct Answer {
    pub status: u16,
    /// Its `Date`.
    pub date: Option<String>,
    pub body: String,
}

impl Answer {
    /// An answer without a date.
    #[allow(clippy::unnecessary_wraps, reason = "what `database` expects")]
    pub fn new(status: u16, body: &(impl ToString + ?Sized)) -> Option<Self> {
        Some(Self { status, date: None, body: body.to_string() })
    }
}

/// Starts a database that answers the request of each number, from 0, and head; `None` is no answer
/// at all. It lives as long as the runtime.
pub async fn database<F>(answer: F) -> UpstreamPlan
where
    F: Fn(usize, &str) -> Option<Answer> + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
    let (answer, requests) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
            tokio::spawn(async move {
                while let Some(head) = request(&mut stream).await {
                    let number = requests.fetch_add(1, Ordering::SeqCst);
                    let Some(answer) = answer(number, &head) else {
                        std::future::pending::<()>().await;
                        return;
                    };
                    let Answer { status, date, body } = answer;
                    let date = date.map(|date| format!("date: {date}\r\n")).unwrap_or_default();
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 {status} X\r\n{date}content-length: {length}\r\n\r\n");
                    stream.write_all((head + &body).as_bytes()).await.unwrap();
                }
            });
        }
    });
    UpstreamPlan { region: "eu-west-1".into(), endpoint }
}

/// The head of the next request, whose body has come as well; `None` at the connection's end.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(head.to_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Credentials that it takes.
pub fn credentials() -> CredentialSource {
    let fixed = Credentials::new("key", "secret", None, None, "tests");
    CredentialSource::new(SharedCredentialsProvider::new(fixed))
}

//! The connections to the database, kept for the next request. Each is driven by the request that
//! uses it, in that request's own task: with its own task, as in hyper-util's client, every
//! request is handed from thread to thread, which costs more than the rest of the guard's work for
//! a small one (decision 012).

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::limits;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{BoxError, ServiceExt as _};

type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Nothing of it was sent.
    #[error("no connection")]
    NotSent(#[source] BoxError),
    /// It may have been carried out.
    #[error("connection cut")]
    Cut(#[source] BoxError),
    #[error("no answer in time")]
    Late,
}

/// Why a request was not sent that has waited for the others.
const ALL_IN_USE: &str = "the answers to earlier requests did not come in time";

/// Connections of a process that may have this many open files. Idle ones are kept, so that what
/// they take nobody else gets.
fn connections_max(open_files: usize) -> usize {
    let share = open_files / limits::OPEN_FILES_PER_UPSTREAM_CONNECTION;
    share.clamp(1, limits::UPSTREAM_CONNECTIONS_MAX)
}

/// Connections to one database.
#[derive(Debug)]
pub struct Pool {
    connector: HttpsConnector<HttpConnector>,
    to: Uri,
    /// One for each request under way.
    places: Semaphore,
    /// The one used last is the last, and is used next, so that those that are too many grow old.
    idle: Mutex<VecDeque<(Instant, Box<Connection>)>>,
}

impl Pool {
    pub fn new(connector: HttpsConnector<HttpConnector>, to: Uri) -> Self {
        let allowed = getrlimit(Resource::Nofile).current;
        let allowed = allowed.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let places = Semaphore::new(connections_max(allowed));
        Self { connector, to, places, idle: Mutex::default() }
    }

    /// Sends a request and reads its answer whole, in this time, connecting included. The request's
    /// path is all of its URI.
    pub async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        time_max: Duration,
    ) -> Result<Response<Bytes>, ExchangeError> {
        let until = Instant::now() + time_max;
        let place = tokio::time::timeout_at(until, self.places.acquire()).await;
        let _place = place.map_err(|_| ExchangeError::NotSent(ALL_IN_USE.into()))?;
        loop {
            let kept = self.take();
            let old = kept.is_some();
            let mut connection = if let Some(connection) = kept {
                connection
            } else {
                let opening = Connection::open(&self.connector, &self.to, until);
                Box::new(Box::pin(opening).await?)
            };
            match connection.exchange(request, until).await {
                Ok(response) => {
                    self.keep(connection);
                    return Ok(response);
                }
                // Closed by the database since it was used last.
                Err((_, Some(unsent))) if old => request = unsent,
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn take(&self) -> Option<Box<Connection>> {
        loop {
            let (since, mut connection) = self.idle.lock().pop_back()?;
            if since.elapsed() < limits::UPSTREAM_IDLE_MAX && connection.is_open() {
                return Some(connection);
            }
        }
    }

    fn keep(&self, mut connection: Box<Connection>) {
        if !connection.is_open() {
            return;
        }
        let now = Instant::now();
        let mut idle = self.idle.lock();
        idle.push_back((now, connection));
        let outlived = |since: &Instant| now - *since >= limits::UPSTREAM_IDLE_MAX;
        while idle.front().is_some_and(|(since, _)| outlived(since)) {
            idle.pop_front();
        }
    }
}

/// One connection, with nothing under way on it while it is idle.
#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: http1::Connection<Io, Full<Bytes>>,
    ended: bool,
    /// When the answer has to be here. One for all requests: a timer that is made again for each,
    /// and restored, wakes the thread that waits for the first of them.
    deadline: Pin<Box<Sleep>>,
}

impl Connection {
    async fn open(
        connector: &HttpsConnector<HttpConnector>,
        to: &Uri,
        until: Instant,
    ) -> Result<Self, ExchangeError> {
        // The connector's own bound is one for TCP; a handshake of TLS can hang as well.
        let opening = async {
            let io = connector.clone().oneshot(to.clone()).await?;
            let (sender, driver) = http1::handshake(io).await?;
            let deadline = Box::pin(sleep_until(until));
            Ok(Self { sender, driver, ended: false, deadline })
        };
        let until = until.min(Instant::now() + limits::UPSTREAM_CONNECT_MAX);
        let opened = tokio::time::timeout_at(until, opening).await;
        opened.unwrap_or_else(|late| Err(late.into())).map_err(ExchangeError::NotSent)
    }

    /// Whether another request can be sent. Sees what came in since it was last used: the database
    /// closes connections without a word.
    fn is_open(&mut self) -> bool {
        let seen = &mut Context::from_waker(Waker::noop());
        if !self.ended {
            self.ended = Pin::new(&mut self.driver).poll(seen).is_ready();
        }
        !self.ended && self.sender.is_ready()
    }

    /// The answer; or why there is none, and the request if nothing of it was sent.
    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        until: Instant,
    ) -> Result<Response<Bytes>, (ExchangeError, Option<Request<Full<Bytes>>>)> {
        self.deadline.as_mut().reset(until);
        let sent = self.sender.try_send_request(request);
        let answer = async {
            let response = sent.await.map_err(|mut failed| {
                let unsent = failed.take_message();
                let error = failed.into_error().into();
                let error = if unsent.is_some() {
                    ExchangeError::NotSent(error)
                } else {
                    ExchangeError::Cut(error)
                };
                (error, unsent)
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, limits::RESPONSE_BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| (ExchangeError::Cut(error), None))?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        let mut answer = pin!(answer);
        poll_fn(|context| {
            if !self.ended {
                self.ended = Pin::new(&mut self.driver).poll(context).is_ready();
            }
            // It advances only when the connection does, so nothing needs to wake it: a task that
            // is woken while it runs is run again, by another thread.
            let error = match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => return Poll::Ready(answer),
                Poll::Pending if self.ended => {
                    ExchangeError::Cut("the connection has ended".into())
                }
                Poll::Pending if self.deadline.as_mut().poll(context).is_ready() => {
                    ExchangeError::Late
                }
                Poll::Pending => return Poll::Pending,
            };
            Poll::Ready(Err((error, None)))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[test]
    fn connections_leave_files_for_the_archive() {
        for (open_files, expected) in [(0, 1), (64, 16), (256, 64), (1_024, 256), (usize::MAX, 256)]
        {
            assert_eq!(connections_max(open_files), expected, "{open_files}");
        }
    }

    /// What a database does with a request.
    #[derive(Clone, Copy)]
    enum Does {
        Answer(usize),
        AnswerAndClose,
        Close,
        Nothing,
    }

    /// A mock that does this with the first request, that with the second, whichever connection
    /// they come by; it answers with the number of the connection. A database's own faults cannot
    /// be had.
    async fn database(does: &'static [Does]) -> Pool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut does, mut connection) = (does.iter(), 0);
            while let Ok((mut stream, _)) = listener.accept().await {
                connection += 1;
                while stream.read(&mut [0; 1024]).await.is_ok_and(|bytes| bytes > 0) {
                    let (bytes, close) = match does.next().unwrap() {
                        Does::Answer(bytes) => (*bytes, false),
                        Does::AnswerAndClose => (1, true),
                        Does::Close => break,
                        Does::Nothing => std::future::pending().await,
                    };
                    let body = connection.to_string().repeat(bytes);
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
                    stream.write_all((head + &body).as_bytes()).await.unwrap();
                    if close {
                        break;
                    }
                }
            }
        });
        pool_to(&format!("http://{address}/"))
    }

    fn pool_to(uri: &str) -> Pool {
        Pool::new(super::super::connector().unwrap(), uri.parse().unwrap())
    }

    async fn ask(pool: &Pool) -> Result<Bytes, ExchangeError> {
        let request = Request::post("/").body(Full::from("{}")).unwrap();
        pool.exchange(request, limits::UPSTREAM_ATTEMPT_MAX).await.map(Response::into_body)
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_an_answer_comes_whole_however_large() {
        let large = 5_000_000;
        let pool = database(&[Does::Answer(1), Does::Answer(5_000_000), Does::Answer(2)]).await;
        assert_eq!(ask(&pool).await.unwrap(), "1");
        assert_eq!(ask(&pool).await.unwrap(), "1".repeat(large));
        assert_eq!(ask(&pool).await.unwrap(), "11");
        assert_eq!(pool.idle.lock().len(), 1);
    }

    #[tokio::test]
    async fn one_that_the_database_closed_is_not_used_again() {
        let pool = database(&[Does::AnswerAndClose, Does::Answer(1), Does::Answer(1)]).await;
        assert_eq!(ask(&pool).await.unwrap(), "1");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert_eq!(ask(&pool).await.unwrap(), "2", "over another, and nobody is told");
        assert_eq!(ask(&pool).await.unwrap(), "2");
    }

    #[tokio::test]
    async fn one_that_is_closed_instead_of_an_answer_is_told() {
        let pool = database(&[Does::Answer(1), Does::Close, Does::Answer(1)]).await;
        ask(&pool).await.unwrap();
        assert!(matches!(ask(&pool).await, Err(ExchangeError::Cut(_))), "it may have been done");
        assert_eq!(ask(&pool).await.unwrap(), "2");
    }

    #[tokio::test]
    async fn without_a_database_nothing_is_sent() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = pool_to(&format!("http://{}/", unused.local_addr().unwrap()));
        drop(unused);
        assert!(matches!(ask(&pool).await, Err(ExchangeError::NotSent(_))));
    }

    #[tokio::test]
    async fn an_answer_is_not_waited_for_for_ever() {
        let pool = database(&[Does::Answer(1), Does::Nothing]).await;
        ask(&pool).await.unwrap();
        tokio::time::pause();
        let begun = Instant::now();
        assert!(matches!(ask(&pool).await, Err(ExchangeError::Late)));
        assert!(begun.elapsed() >= limits::UPSTREAM_ATTEMPT_MAX);
        assert_eq!(pool.idle.lock().len(), 0, "its answer may still come");
    }

    #[tokio::test]
    async fn a_request_waits_while_as_many_as_may_are_under_way() {
        let mut pool = database(&[Does::Nothing]).await;
        pool.places = Semaphore::new(1);
        let (asked, (first, second)) = {
            let request = || Request::post("/").body(Full::from("{}")).unwrap();
            let short = Duration::from_millis(200);
            let first = pool.exchange(request(), short * 2);
            let second = pool.exchange(request(), short);
            (Instant::now(), tokio::join!(first, second))
        };
        assert!(matches!(first, Err(ExchangeError::Late)));
        let Err(ExchangeError::NotSent(why)) = second else { panic!("{second:?}") };
        assert_eq!(why.to_string(), ALL_IN_USE);
        assert!(asked.elapsed() >= Duration::from_millis(400));
        assert_eq!(pool.places.available_permits(), 1, "there is room again");
    }

    #[tokio::test]
    async fn one_that_was_idle_for_long_is_left() {
        let pool = database(&[Does::Answer(1), Does::Nothing]).await;
        ask(&pool).await.unwrap();
        let kept = pool.take().unwrap();
        assert!(pool.take().is_none());
        pool.keep(kept);
        tokio::time::pause();
        tokio::time::advance(limits::UPSTREAM_IDLE_MAX).await;
        assert!(pool.take().is_none(), "the database closes those that are idle for long");
    }
}

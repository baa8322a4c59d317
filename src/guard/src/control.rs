//! The kubelet's and the operator's side of the guard: is it there, how far is the run, and, for
//! who shows the token, how fast it may go. It is a separate listener: the program's serves none
//! of it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::limits;
use bytes::Bytes;
use dm_contract::control::{CONTROL_PATH, LIMITS_PATH, PAUSE_PATH, RESUME_PATH};
use dm_contract::plan::RateLimits;
use http::header::{ALLOW, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::connections::{Connection, Connections, MakingRoom, NoPlace};
use crate::restart;
use crate::run::Run;
use crate::token::ControlToken;
use crate::wire::{Body, plain};

/// What stands behind the control's address.
#[derive(Debug)]
pub struct Control {
    pub run: Run,
    /// What must be shown to change anything; without it nothing can be changed.
    pub token: Option<ControlToken>,
    /// Where it is kept for a guard that is started again.
    pub state_dir: Option<PathBuf>,
}

/// Accepts connections for ever.
pub async fn accept(control: Arc<Control>, listener: TcpListener) {
    let connections = Connections::new(
        limits::CONTROL_CONNECTIONS_MAX,
        limits::CONTROL_CONNECTIONS_PER_SOURCE_MAX,
    );
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a control connection");
                connections.close_idle();
                tokio::time::sleep(limits::ACCEPT_RETRY).await;
                continue;
            }
        };
        match connections.place(peer.ip()).await {
            Ok(place) => {
                tokio::spawn(serve(Arc::clone(&control), stream, place));
            }
            Err(NoPlace::SourceFull) => tracing::debug!(%peer, "control connection refused"),
            Err(NoPlace::Stopped) => return,
        }
    }
}

/// One connection, and one request of it.
async fn serve(control: Arc<Control>, stream: TcpStream, place: Connection) {
    let (control, place) = (&control, &place);
    let service = service_fn(move |request| async move {
        if !place.begin() {
            return Err(MakingRoom);
        }
        let response = control.respond(request).await;
        place.end();
        Ok(response)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::CONTROL_HEADERS_MAX)
        .max_buf_size(limits::CLIENT_BUFFER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(place.watch(stream)), service);
    tokio::select! {
        ended = served => if let Err(error) = ended {
            tracing::debug!(%error, "control connection ended");
        },
        () = place.closing() => tracing::debug!("closing a silent control connection"),
    }
}

impl Control {
    /// The guard is ready as soon as it can serve: a slow database must not keep a run from
    /// starting, its requests are held and tried again.
    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let allowed = match head.uri.path() {
            "/healthz" | "/progress" | CONTROL_PATH => Method::GET,
            LIMITS_PATH => Method::PUT,
            PAUSE_PATH | RESUME_PATH => Method::POST,
            _ => return said(StatusCode::NOT_FOUND, "no such path"),
        };
        if head.method != allowed {
            let mut answer = said(StatusCode::METHOD_NOT_ALLOWED, &format!("{allowed} is needed"));
            if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
                answer.headers_mut().insert(ALLOW, allowed);
            }
            return answer;
        }
        match head.uri.path() {
            "/healthz" => return said(StatusCode::OK, "ok"),
            "/progress" => return json(self.run.progress()),
            _ => {}
        }
        let shown = head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        if let Some(refusal) = self.refusal(shown) {
            tracing::warn!(path = head.uri.path(), "control refused");
            return refusal;
        }
        match head.uri.path() {
            PAUSE_PATH => self.run.pause(true),
            RESUME_PATH => self.run.pause(false),
            LIMITS_PATH => match limits_of(body).await {
                Ok(limits) => self.run.set_rates(&limits),
                Err(why) => return said(StatusCode::BAD_REQUEST, &why),
            },
            _ => return json(serde_json::to_vec(&self.run.state())),
        }
        self.keep();
        json(serde_json::to_vec(&self.run.state()))
    }

    fn keep(&self) {
        let Some(folder) = &self.state_dir else { return };
        if let Err(error) = restart::keep_control(folder, &self.run.state()) {
            tracing::warn!(%error, "limits and pause would not survive a restart of the guard");
        }
    }

    fn refusal(&self, shown: Option<&[u8]>) -> Option<Response<Body>> {
        let Some(token) = &self.token else {
            let why = "the guard was started without a control token, so nobody can control it";
            return Some(said(StatusCode::FORBIDDEN, why));
        };
        if token.is_shown_by(shown) {
            return None;
        }
        let mut answer =
            said(StatusCode::UNAUTHORIZED, "the guard's control token is needed, as Bearer");
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Some(answer)
    }
}

/// The limits in a body, or why there are none.
async fn limits_of(body: Incoming) -> Result<RateLimits, String> {
    let limited = Limited::new(body, limits::CONTROL_BODY_BYTES_MAX).collect();
    let whole = match tokio::time::timeout(limits::CONTROL_HEADERS_MAX, limited).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) | Err(_) => return Err("the body is incomplete".into()),
    };
    let asked: RateLimits =
        serde_json::from_slice(&whole).map_err(|error| format!("no limits: {error}"))?;
    let each = [
        asked.reads_per_second,
        asked.writes_per_second,
        asked.read_units_per_second,
        asked.write_units_per_second,
    ];
    if each.contains(&Some(0)) {
        return Err(format!("a limit is 1 or more; to hold everything, POST {PAUSE_PATH}"));
    }
    Ok(asked)
}

fn said(status: StatusCode, text: &str) -> Response<Body> {
    plain(status, "text/plain", Bytes::from(format!("{text}\n")))
}

fn json(value: serde_json::Result<Vec<u8>>) -> Response<Body> {
    match value {
        Ok(value) => plain(StatusCode::OK, "application/json", Bytes::from(value)),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", Bytes::new()),
    }
}

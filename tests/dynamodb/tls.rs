//! A database over TLS, as every one of AWS's is: DynamoDB Local behind something that ends TLS, as
//! it speaks none itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dm_contract::plan::{Mode, Plan, Policy};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::bed::{self, database, fresh_name};
use crate::processes::{Process, keys};
use crate::shorthand::expand;

/// What ends TLS before the database. It lives as long as the runtime.
struct Front {
    address: SocketAddr,
    certificate: PathBuf,
    handshakes: Arc<AtomicUsize>,
    closing: Arc<Notify>,
}

impl Front {
    async fn new(folder: &Path) -> Self {
        let certificate = folder.join("certificate.pem");
        let acceptor = TlsAcceptor::from(dm_tests::tls::server("localhost", &certificate));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (handshakes, closing) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let front = Self {
            address,
            certificate,
            handshakes: Arc::clone(&handshakes),
            closing: Arc::clone(&closing),
        };
        let to = database().url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, to) = (acceptor.clone(), to.clone());
                let (handshakes, closing) = (Arc::clone(&handshakes), Arc::clone(&closing));
                tokio::spawn(async move {
                    // Of a client that does not trust it there comes nothing more.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    handshakes.fetch_add(1, Ordering::SeqCst);
                    let mut server = TcpStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        () = closing.notified() => client.shutdown().await.unwrap(),
                    }
                });
            }
        });
        front
    }

    /// Closes what is open, as a database does with connections that are idle.
    async fn close(&self) {
        self.closing.notify_waiters();
        // Until the other side can know.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    fn plan(&self, mode: Mode) -> Plan {
        let mut plan = bed::plan(mode, Policy::default());
        plan.upstream.endpoint = Some(format!("https://localhost:{}", self.address.port()));
        plan
    }

    async fn guard(&self, mode: Mode, folder: &Path) -> Process {
        let trusted = self.certificate.to_str().unwrap().to_owned();
        let [id, secret] = keys();
        let variables = [id, secret, ("AWS_CA_BUNDLE", trusted)];
        Process::start_with(&self.plan(mode), folder, &variables).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_over_tls_is_written_and_read_over_one_connection() {
    let folder = tempfile::tempdir().unwrap();
    let front = Front::new(folder.path()).await;
    for mode in [Mode::Apply, Mode::DryRun] {
        let guard = front.guard(mode, folder.path()).await;
        let table = fresh_name("tls");
        database().ok("CreateTable", &crate::suite::table("hash", &table)).await;
        front.handshakes.store(0, Ordering::SeqCst);
        // Bodies of many records of TLS, one way and the other.
        let mut written = Vec::new();
        for id in 0..4 {
            let item = json!({"id": id.to_string(), "text": "x".repeat(300_000)});
            let put = expand(&json!({"TableName": table, "Item": item}));
            guard.endpoint.ok("PutItem", &put).await;
            written.push(put["Item"].clone());
        }
        assert_eq!(guard.endpoint.items(&table).await, written, "{mode:?}");
        let below = database().items(&table).await;
        assert_eq!(below.len(), if mode == Mode::Apply { 4 } else { 0 });
        assert_eq!(front.handshakes.load(Ordering::SeqCst), 1, "{mode:?}: it is kept");

        front.close().await;
        assert_eq!(guard.endpoint.items(&table).await, written, "{mode:?}: over another");
        assert_eq!(front.handshakes.load(Ordering::SeqCst), 2);
        // A write, too, continues: nothing of it was sent over the one that was closed.
        front.close().await;
        let delete = expand(&json!({"TableName": table, "Key": {"id": "0"}}));
        guard.endpoint.ok("DeleteItem", &delete).await;
        assert_eq!(guard.endpoint.items(&table).await, written[1..]);
        assert_eq!(front.handshakes.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_whom_nobody_vouches_for_and_the_program_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let front = Front::new(folder.path()).await;
    let guard = Process::start_with(&front.plan(Mode::Apply), folder.path(), &keys()).await;
    let (status, answer) = guard.endpoint.call("ListTables", &json!({})).await;
    assert_eq!(status, 500, "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("certificate") && message.contains("UnknownIssuer"), "{message}");
    assert_eq!(front.handshakes.load(Ordering::SeqCst), 0);
}

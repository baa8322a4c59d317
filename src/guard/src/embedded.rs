//! An embedded database that serves any client: the guard's server without a guard's caution,
//! because there is nothing behind it that a stranger could reach.

use std::net::SocketAddr;
use std::sync::Arc;

use dm_engine::Engine;
use tokio::task::JoinHandle;

use crate::clients::Clients;
use crate::guard::{StartError, bound};
use crate::server::Server;
use crate::wire::{Regions, Serves};

/// An embedded database that serves.
#[derive(Debug)]
pub struct Embedded {
    /// Where clients find it.
    pub address: SocketAddr,
    engine: Arc<Engine>,
    server: Arc<Server>,
    accepting: JoinHandle<()>,
}

impl Embedded {
    /// Serves an embedded engine to clients with any credentials, for any region.
    pub async fn start(engine: Arc<Engine>, listen: SocketAddr) -> Result<Self, StartError> {
        let (listener, address) = bound(listen).await?;
        let whom = Serves {
            region: engine.region().to_owned(),
            signed_for: Regions::Any,
            clients: Clients::Any,
        };
        let server = Arc::new(Server::new(Arc::clone(&engine), whom));
        let accepting = tokio::spawn(Arc::clone(&server).accept(listener));
        Ok(Self { address, engine, server, accepting })
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Stops after the requests in work.
    pub async fn stop(self) {
        self.server.drain().await;
        self.accepting.abort();
    }
}

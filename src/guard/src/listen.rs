//! Listening on an address, or on all of them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

/// Every address of the pod, at this port: clusters may give pods none but of IPv6.
pub fn everywhere(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

/// Listens. Every address of IPv6 is every one of IPv4 too, and that alone where the kernel has no
/// IPv6.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address == everywhere(address.port()) => {
            let on_ipv4 = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await;
            on_ipv4.map_err(|_| error)
        }
        listens => listens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn everywhere_is_on_both_families_as_far_as_there_are_both() {
        let listener = listen(everywhere(0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok());
        let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
        assert_eq!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.is_ok(), has_ipv6);
    }

    #[tokio::test]
    async fn what_is_taken_is_not_listened_on() {
        let taken = listen(everywhere(0)).await.unwrap();
        let again = listen(everywhere(taken.local_addr().unwrap().port())).await;
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}

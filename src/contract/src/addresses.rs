//! The addresses that a process listens on. The process binds the first that it can.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Every address of the pod, at this port: clusters may give pods none but of IPv6.
pub fn everywhere(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

/// Returns the addresses to try, in order. Every address of IPv6 is every one of IPv4 too, and that
/// alone where the kernel has no IPv6.
pub fn to_bind(address: SocketAddr) -> Vec<SocketAddr> {
    let port = address.port();
    let on_ipv4 = (address == everywhere(port)).then(|| (Ipv4Addr::UNSPECIFIED, port).into());
    [Some(address), on_ipv4].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn everywhere_is_on_both_families_as_far_as_there_are_both() {
        let listener = TcpListener::bind(&*to_bind(everywhere(0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        assert_eq!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_ok(), has_ipv6);
        let again = TcpListener::bind(&*to_bind(everywhere(port)));
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn only_everywhere_has_a_second_address() {
        let check = |address: &str, expected: &[&str]| {
            let all = to_bind(address.parse().unwrap());
            assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        };
        check("[::]:8080", &["[::]:8080", "0.0.0.0:8080"]);
        check("[::1]:8080", &["[::1]:8080"]);
        check("0.0.0.0:8080", &["0.0.0.0:8080"]);
    }
}

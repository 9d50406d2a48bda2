//! Connecting to an abstract Unix socket by its exact name.
//!
//! Facts relied on: an abstract name is exactly as long as the address says, zero bytes included (unix(7)). Node 20 pads the name to
//! the full length of the address, and so is refused by servers that bind the short one.

use std::os::fd::{IntoRawFd, RawFd};

use ocfs2_group_error::{Code, Error, Result};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::cancel::Cancel;
use crate::error::OrError;

const OPERATION: &str = "connect-abstract";

/// Connects a stream socket. The descriptor is close-on-exec, non-blocking from then on, and the caller's to close.
pub fn connect_abstract(name: &str, cancel: &Cancel) -> Result<RawFd> {
    let shown = format!("@{name}");
    let address = match SocketAddrUnix::new_abstract_name(name.as_bytes()) {
        Ok(address) if !name.is_empty() => address,
        _ => {
            let detail = "an abstract socket's name has 1 to 107 bytes";
            return Err(Error::new(Code::InternalFailure, OPERATION, detail).path(shown));
        }
    };
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .or_error(OPERATION, "socket", &shown)?;
    cancel.restart(|| connect(&socket, &address)).or_error(OPERATION, "connect", &shown)?;
    fcntl_setfl(&socket, OFlags::NONBLOCK).or_error(OPERATION, "fcntl", &shown)?;
    Ok(socket.into_raw_fd())
}

#[cfg(test)]
mod tests {
    #![allow(unsafe_code)]
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::FromRawFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    fn unique(purpose: &str) -> String {
        format!("ocfs2-group-{purpose}-{}", std::process::id())
    }

    #[test]
    fn the_exact_name_is_found_and_bytes_pass() {
        let name = unique("exact");
        let server = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let raw = connect_abstract(&name, &Cancel::new()).unwrap();
        // SAFETY: the descriptor was just handed over and belongs to nobody else.
        let mut client = unsafe { UnixStream::from_raw_fd(raw) };
        let (mut peer, _) = server.accept().unwrap();
        peer.write_all(b"hello").unwrap();
        client.set_nonblocking(false).unwrap();
        let mut got = [0; 5];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
    }

    #[test]
    fn the_descriptor_does_not_block_nor_leak_into_children() {
        let name = unique("flags");
        let _server = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let raw = connect_abstract(&name, &Cancel::new()).unwrap();
        // SAFETY: as above.
        let client = unsafe { UnixStream::from_raw_fd(raw) };
        assert!(rustix::fs::fcntl_getfl(&client).unwrap().contains(OFlags::NONBLOCK));
        assert!(rustix::io::fcntl_getfd(&client).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn a_padded_name_is_another() {
        let name = unique("padded");
        let padded = format!("{name}\0");
        let _server = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&padded).unwrap()).unwrap();
        assert_eq!(connect_abstract(&name, &Cancel::new()).unwrap_err().errno, Some(libc::ECONNREFUSED));
        for bad in [String::new(), "x".repeat(108)] {
            assert_eq!(connect_abstract(&bad, &Cancel::new()).unwrap_err().code, Code::InternalFailure);
        }
    }
}

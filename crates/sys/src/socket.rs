//! Connecting to an abstract Unix socket by its exact name, and listening on one.
//!
//! Facts relied on: an abstract name is exactly as long as the address says, zero bytes included (unix(7)). Node 20 pads the name to
//! the full length of the address, and so is refused by servers that bind the short one. A name is free again once its last descriptor is closed.

use std::os::fd::{IntoRawFd, OwnedFd, RawFd};

use ocfs2_group_error::{Code, Error, Result};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use crate::cancel::Cancel;
use crate::error::OrError;
use crate::peer::require_service;

/// Connecting, as errors and threads name it.
pub const CONNECT: &str = "connect-abstract";
/// Listening, likewise.
pub const LISTEN: &str = "listen-abstract";

/// Connects a stream socket whose other end is root's or our own user's. The descriptor is close-on-exec, non-blocking from then on, and the caller's to close.
pub fn connect_abstract(name: &str, cancel: &Cancel) -> Result<RawFd> {
    connected(CONNECT, name, cancel).map(OwnedFd::into_raw_fd)
}

/// The same for the core itself.
pub(crate) fn connected(operation: &'static str, name: &str, cancel: &Cancel) -> Result<OwnedFd> {
    let (address, shown) = address(operation, name)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .or_error(operation, "socket", &shown)?;
    cancel.restart(|| connect(&socket, &address)).or_error(operation, "connect", &shown)?;
    require_service(operation, &socket, &shown)?;
    fcntl_setfl(&socket, OFlags::NONBLOCK).or_error(operation, "fcntl", &shown)?;
    Ok(socket)
}

/// Listens on a stream socket. The descriptor is close-on-exec, non-blocking, and the caller's to close.
pub fn listen_abstract(name: &str, backlog: u32) -> Result<RawFd> {
    let (address, shown) = address(LISTEN, name)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .or_error(LISTEN, "socket", &shown)?;
    bind(&socket, &address).or_error(LISTEN, "bind", &shown)?;
    // The kernel cuts it down to its own limit.
    listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX)).or_error(LISTEN, "listen", &shown)?;
    Ok(socket.into_raw_fd())
}

/// The address of a name, and how errors show it.
fn address(operation: &'static str, name: &str) -> Result<(SocketAddrUnix, String)> {
    let shown = format!("@{name}");
    match SocketAddrUnix::new_abstract_name(name.as_bytes()) {
        Ok(address) if !name.is_empty() => Ok((address, shown)),
        _ => {
            let detail = "an abstract socket's name has 1 to 107 bytes";
            Err(Error::new(Code::InternalFailure, operation, detail).path(shown))
        }
    }
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

    #[test]
    fn one_listens_on_a_name_and_is_found_by_exactly_that() {
        let name = unique("listen");
        let raw = listen_abstract(&name, 5).unwrap();
        // SAFETY: as above.
        let server = unsafe { UnixListener::from_raw_fd(raw) };
        assert!(rustix::fs::fcntl_getfl(&server).unwrap().contains(OFlags::NONBLOCK));
        assert!(rustix::io::fcntl_getfd(&server).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        assert_eq!(listen_abstract(&name, 5).unwrap_err().errno, Some(libc::EADDRINUSE));
        let mut client = UnixStream::from(connected("test", &name, &Cancel::new()).unwrap());
        client.write_all(b"hello").unwrap();
        let (mut peer, _) = server.accept().unwrap();
        let mut got = [0; 5];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
        drop(server);
        // SAFETY: as above.
        drop(unsafe { UnixListener::from_raw_fd(listen_abstract(&name, u32::MAX).unwrap()) });
    }
}

#![allow(unsafe_code)]
//! What libcpg tells through its callbacks, as values: copied and checked, nothing of the library's memory is kept.
//!
//! Facts relied on: cpg.h: the callbacks run within cpg_dispatch, on the thread that calls it, so what they leave can lie in a variable of that
//! thread and no pointer of ours has to outlive anything. Seen with corosync 3.1.7: one dispatch calls one back at most, and none for a
//! part of a long message.
//!
//! A count or a length that cannot be is not read: the whole event is refused, and what is known of the group's members with it.

use std::cell::RefCell;
use std::ffi::c_void;

use super::libcpg::{Address, Handle, LONGEST_NAME, MOST_MEMBERS, Name};

/// Longer than corosync carries.
const LONGEST_MESSAGE: usize = 16 << 20;

/// One process of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// its node's number in corosync
    pub node: u32,
    /// its number on that node
    pub pid: u32,
}

/// Why a member is not in the group any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has left.
    Left,
    /// Its node is gone.
    NodeDown,
    /// Its process is gone.
    ProcessDown,
}

/// `GroupEvent` of ts/native-stack-types.ts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The members are others now.
    Change {
        /// who is in the group now
        members: Vec<Member>,
        /// who is not any more
        left: Vec<(Member, Reason)>,
        /// who was not before
        joined: Vec<Member>,
    },
    /// Somebody said something.
    Message {
        /// who
        from: Member,
        /// what
        bytes: Vec<u8>,
    },
}

/// An event of the group of this name; or what makes no sense in it.
pub(super) type Heard = Result<(Vec<u8>, Event), String>;

thread_local! {
    static HEARD: RefCell<Vec<Heard>> = const { RefCell::new(Vec::new()) };
}

/// What the callbacks have left on this thread.
pub(super) fn take() -> Vec<Heard> {
    HEARD.take()
}

/// Never panics: it runs within the library.
fn put(heard: Heard) {
    let _ = HEARD.try_with(|slot| slot.try_borrow_mut().map(|mut all| all.push(heard)));
}

pub(super) extern "C" fn on_message(
    _: Handle,
    group: *const Name,
    node: u32,
    pid: u32,
    bytes: *mut c_void,
    length: usize,
) {
    // SAFETY: libcpg passes the group's name, and `length` bytes, both of its own for as long as this runs.
    put(unsafe { name(group) }.and_then(|group| {
        if length > LONGEST_MESSAGE {
            return Err(format!("a message of {length} bytes"));
        }
        // SAFETY: as above.
        let bytes = unsafe { list(bytes.cast_const().cast::<u8>(), length) };
        Ok((group, Event::Message { from: Member { node, pid }, bytes: bytes.to_vec() }))
    }));
}

pub(super) extern "C" fn on_change(
    _: Handle,
    group: *const Name,
    members: *const Address,
    member_count: usize,
    left: *const Address,
    left_count: usize,
    joined: *const Address,
    joined_count: usize,
) {
    // SAFETY: libcpg passes the group's name and three lists of so many entries, all of its own for as long as this runs.
    put(unsafe { name(group) }.and_then(|group| {
        for count in [member_count, left_count, joined_count] {
            if count > MOST_MEMBERS {
                return Err(format!("a list of {count} members, where {MOST_MEMBERS} is the most"));
            }
        }
        // SAFETY: as above.
        let [members, left, joined] =
            unsafe { [list(members, member_count), list(left, left_count), list(joined, joined_count)] };
        let left = left.iter().map(|one| Ok((member(one), reason(one)?))).collect::<Result<_, String>>()?;
        let [members, joined] = [members, joined].map(|some| some.iter().map(member).collect());
        Ok((group, Event::Change { members, left, joined }))
    }));
}

fn member(&Address { node, pid, .. }: &Address) -> Member {
    Member { node, pid }
}

fn reason(&Address { node, pid, reason }: &Address) -> Result<Reason, String> {
    match reason {
        2 => Ok(Reason::Left),
        3 => Ok(Reason::NodeDown),
        5 => Ok(Reason::ProcessDown),
        _ => Err(format!("process {pid} of node {node} is gone for the reason {reason}")),
    }
}

/// # Safety
/// `name` is null or valid.
unsafe fn name(name: *const Name) -> Result<Vec<u8>, String> {
    // SAFETY: as the caller says.
    let Some(name) = (unsafe { name.as_ref() }) else { return Err("a group without a name".to_owned()) };
    let length = usize::try_from(name.length).unwrap_or(usize::MAX);
    let bytes = name.value.get(..length);
    bytes
        .map(<[u8]>::to_vec)
        .ok_or_else(|| format!("a group's name of {length} bytes, where {LONGEST_NAME} is the most"))
}

/// # Safety
/// `first` is null where there are none, else valid for `count` entries, for as long as the caller uses them.
unsafe fn list<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if first.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: as the caller says; the library's structures are aligned as C's are.
    unsafe { std::slice::from_raw_parts(first, count) }
}

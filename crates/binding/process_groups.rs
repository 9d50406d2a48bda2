//! corosync: process groups, its map, its quorum.

use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{PromiseRaw, Uint8Array};
use napi_derive::napi;
use ocfs2_group_sys::corosync::process_group::{self, Event, Reason};
use ocfs2_group_sys::corosync::{cluster_map, libcpg, quorum};

use crate::blocking::{Cancellation, start, start_with_stack};

/// `GroupMember` of ts/native-stack-types.ts.
#[napi(object, object_from_js = false)]
pub struct GroupMember {
    pub node: u32,
    pub pid: u32,
}

/// One that is not in the group any more.
#[napi(object, object_from_js = false)]
pub struct DepartedMember {
    pub node: u32,
    pub pid: u32,
    #[napi(ts_type = "\"left\" | \"node-down\" | \"process-down\"")]
    pub reason: &'static str,
}

/// A change of the members.
#[napi(object, object_from_js = false)]
pub struct GroupChange {
    pub members: Vec<GroupMember>,
    pub left: Vec<DepartedMember>,
    pub joined: Vec<GroupMember>,
}

/// A message.
#[napi(object, object_from_js = false)]
pub struct GroupMessage {
    pub from: GroupMember,
    pub bytes: Uint8Array,
}

/// An event: either a change or a message.
#[napi(object, object_from_js = false)]
pub struct GroupEvent {
    pub change: Option<GroupChange>,
    pub message: Option<GroupMessage>,
}

/// A text of the map; null where the key is not set.
#[napi(catch_unwind)]
pub fn read_cluster_map<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    key: String,
) -> napi::Result<PromiseRaw<'env, Option<String>>> {
    start(env, cluster_map::READ, cancellation, move |cancel| {
        cluster_map::read(cluster_map::LIBRARY.installed()?, &key, cancel)
    })
}

/// Whether this node's partition is quorate.
#[napi(catch_unwind)]
pub fn is_quorate<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
) -> napi::Result<PromiseRaw<'env, bool>> {
    start(env, quorum::READ, cancellation, |cancel| quorum::read(quorum::LIBRARY.installed()?, cancel))
}

/// Loads libcpg and joins a group.
#[napi(catch_unwind)]
pub fn join_process_group<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    name: String,
) -> napi::Result<PromiseRaw<'env, ProcessGroup>> {
    start(env, process_group::JOIN, cancellation, move |cancel| {
        let group = process_group::ProcessGroup::join(libcpg::LIBRARY.installed()?, &name, cancel)?;
        Ok(ProcessGroup(Arc::new(group)))
    })
}

/// `ProcessGroup` of ts/native-stack-types.ts. The collector ends what JavaScript forgot.
#[napi]
pub struct ProcessGroup(Arc<process_group::ProcessGroup>);

#[napi]
impl ProcessGroup {
    /// This node's number.
    #[napi(catch_unwind)]
    pub fn local_node(&self) -> u32 {
        self.0.local_node()
    }

    /// Waits for events. The right to wait is taken here, so that the first of two calls has it.
    #[napi(catch_unwind)]
    pub fn next<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
    ) -> napi::Result<PromiseRaw<'env, Vec<GroupEvent>>> {
        let wait = self.0.wait();
        start_with_stack(process_group::STACK_BYTES, env, process_group::NEXT, cancellation, move |cancel| {
            Ok(wait?.events(cancel)?.into_iter().map(GroupEvent::from).collect())
        })
    }

    /// Says something to the group.
    #[napi(catch_unwind)]
    pub fn send<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
        bytes: Uint8Array,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let group = Arc::clone(&self.0);
        let bytes = bytes.to_vec();
        start(env, process_group::SEND, cancellation, move |cancel| group.send(&bytes, cancel))
    }

    /// Asks to leave it.
    #[napi(catch_unwind)]
    pub fn leave<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let group = Arc::clone(&self.0);
        start(env, process_group::LEAVE, cancellation, move |cancel| group.leave(cancel))
    }

    /// Gives up what waits, and ends the connection; twice does nothing.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.0.close();
    }
}

impl From<process_group::Member> for GroupMember {
    fn from(process_group::Member { node, pid }: process_group::Member) -> Self {
        GroupMember { node, pid }
    }
}

impl From<(process_group::Member, Reason)> for DepartedMember {
    fn from((process_group::Member { node, pid }, reason): (process_group::Member, Reason)) -> Self {
        let reason = match reason {
            Reason::Left => "left",
            Reason::NodeDown => "node-down",
            Reason::ProcessDown => "process-down",
        };
        DepartedMember { node, pid, reason }
    }
}

impl From<Event> for GroupEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Change { members, left, joined } => GroupEvent {
                change: Some(GroupChange {
                    members: members.into_iter().map(Into::into).collect(),
                    left: left.into_iter().map(Into::into).collect(),
                    joined: joined.into_iter().map(Into::into).collect(),
                }),
                message: None,
            },
            Event::Message { from, bytes } => GroupEvent {
                change: None,
                message: Some(GroupMessage { from: from.into(), bytes: Uint8Array::new(bytes) }),
            },
        }
    }
}

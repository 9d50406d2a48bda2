//! dlm_controld: the states of lockspaces, a file system's connection; the version of the kernel's DLM.

use std::path::Path;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_sys::dlm_control::{self, Answer, LIBRARY, Wait};
use ocfs2_group_sys::dlm_version;

use crate::blocking::{Cancellation, start};

/// `LockspaceState` of ts/native-stack-types.ts, without its name.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct LockspaceState {
    pub is_joining: bool,
    pub is_leaving: bool,
    pub is_stopped: bool,
    pub is_registered: bool,
    #[napi(ts_type = "\"ring\" | \"quorum\" | \"fencing\" | \"filesystem\" | null")]
    pub waits_for: Option<&'static str>,
    pub members: Vec<u32>,
    pub fencing: Vec<u32>,
}

/// `ControlAnswer` of ts/native-stack-types.ts; `node` has a meaning where it has.
#[napi(object, object_from_js = false)]
pub struct ControlAnswer {
    #[napi(ts_type = "\"registered\" | \"notified\"")]
    pub kind: &'static str,
    pub name: String,
    pub node: u32,
    pub status: i32,
}

/// Three numbers.
#[napi(object, object_from_js = false)]
pub struct DlmVersion {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

/// The DLM's version, as its control device tells it.
#[napi(catch_unwind)]
pub fn dlm_version<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    path: String,
) -> napi::Result<PromiseRaw<'env, DlmVersion>> {
    start(env, dlm_version::READ, cancellation, move |cancel| {
        let dlm_version::DlmVersion { major, minor, patch } =
            dlm_version::read_version(Path::new(&path), cancel)?;
        Ok(DlmVersion { major, minor, patch })
    })
}

/// What dlm_controld does with a lockspace; null where it knows none of that name.
#[napi(catch_unwind)]
pub fn lockspace_state<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
    name: String,
) -> napi::Result<PromiseRaw<'env, Option<LockspaceState>>> {
    start(env, dlm_control::LOOK, cancellation, move |cancel| {
        let state = dlm_control::lockspace(LIBRARY.installed()?, &name, cancel)?;
        Ok(state.map(LockspaceState::from))
    })
}

/// Loads libdlmcontrol and connects as a file system.
#[napi(catch_unwind)]
pub fn connect_dlm_control<'env>(
    env: &'env Env,
    cancellation: Option<&Cancellation>,
) -> napi::Result<PromiseRaw<'env, DlmControl>> {
    start(env, dlm_control::CONNECT, cancellation, |_| {
        Ok(DlmControl(Arc::new(dlm_control::DlmControl::connect(LIBRARY.installed()?)?)))
    })
}

/// `DlmControl` of ts/native-stack-types.ts. The collector ends what JavaScript forgot.
#[napi]
pub struct DlmControl(Arc<dlm_control::DlmControl>);

#[napi]
impl DlmControl {
    /// Asks to be told of a lockspace's deaths.
    #[napi(catch_unwind)]
    pub fn register<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
        lockspace: String,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let control = Arc::clone(&self.0);
        start(env, dlm_control::REGISTER, cancellation, move |_| control.register(&lockspace))
    }

    /// Takes that back.
    #[napi(catch_unwind)]
    pub fn unregister<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
        lockspace: String,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let control = Arc::clone(&self.0);
        start(env, dlm_control::UNREGISTER, cancellation, move |_| control.unregister(&lockspace))
    }

    /// Says that a node's death was dealt with.
    #[napi(catch_unwind)]
    pub fn notified<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
        lockspace: String,
        node: u32,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let control = Arc::clone(&self.0);
        start(env, dlm_control::NOTIFIED, cancellation, move |_| control.notified(&lockspace, node))
    }

    /// Waits for an answer. The right to wait is taken here, so that the first of two calls has it.
    #[napi(catch_unwind)]
    pub fn next<'env>(
        &self,
        env: &'env Env,
        cancellation: Option<&Cancellation>,
    ) -> napi::Result<PromiseRaw<'env, ControlAnswer>> {
        let wait = self.0.wait();
        start(env, dlm_control::NEXT, cancellation, move |cancel| {
            wait?.answer(cancel).map(ControlAnswer::from)
        })
    }

    /// Gives up what waits, and ends the connection; twice does nothing.
    #[napi(catch_unwind)]
    pub fn release(&self) {
        self.0.close();
    }
}

impl From<dlm_control::Lockspace> for LockspaceState {
    fn from(state: dlm_control::Lockspace) -> Self {
        LockspaceState {
            is_joining: state.is_joining,
            is_leaving: state.is_leaving,
            is_stopped: state.is_stopped,
            is_registered: state.is_registered,
            waits_for: state.waits_for.map(|what| match what {
                Wait::Ring => "ring",
                Wait::Quorum => "quorum",
                Wait::Fencing => "fencing",
                Wait::FileSystem => "filesystem",
            }),
            members: state.members,
            fencing: state.fencing,
        }
    }
}

impl From<Answer> for ControlAnswer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Registered { name, status } => {
                ControlAnswer { kind: "registered", name, node: 0, status }
            }
            Answer::Notified { name, node, status } => ControlAnswer { kind: "notified", name, node, status },
        }
    }
}

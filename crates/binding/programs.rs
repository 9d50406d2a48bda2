//! Programs in the foreground.

use std::collections::HashMap;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use ocfs2_group_sys::foreground;

use crate::blocking::start;

/// `ForegroundProgram` of ts/native-types.ts.
#[napi]
pub struct ForegroundProgram(Arc<foreground::Program>);

/// Starts a program that has our standard streams.
#[napi(catch_unwind)]
pub fn start_program<'env>(
    env: &'env Env,
    file: String,
    arguments: Vec<String>,
    environment: HashMap<String, String>,
    keep_open: Vec<String>,
) -> napi::Result<PromiseRaw<'env, ForegroundProgram>> {
    let environment = environment.into_iter().collect();
    let request = foreground::Request { file, arguments, environment, keep_open };
    start(env, "start-program", None, move |_| foreground::start(request).map(ForegroundProgram))
}

#[napi]
impl ForegroundProgram {
    /// Its number.
    #[napi(catch_unwind)]
    pub fn pid(&self) -> i32 {
        self.0.pid()
    }

    /// Sends a signal; false where it has ended.
    #[napi(catch_unwind)]
    pub fn kill(&self, signal: i32) -> bool {
        self.0.kill(signal)
    }

    /// Its exit status, 128+n where signal n ended it.
    #[napi(catch_unwind)]
    pub fn ended<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, i32>> {
        let program = Arc::clone(&self.0);
        start(env, "await-program", None, move |_| Ok(program.wait()))
    }
}

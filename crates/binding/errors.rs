//! From the core's error to a JavaScript error with fields: code, operation, detail, errno (negative, as Node's own), syscall,
//! path, kernelMessages, holder. The sentence for people and the class are made in `ts/native.ts`.

use napi::bindgen_prelude::{ToNapiValue, Unknown};
use napi::{Env, JsValue};
use ocfs2_group_error::Error;

/// The JavaScript error. Runs on the JavaScript thread only.
pub fn to_js(env: &Env, error: &Error) -> napi::Error {
    fields(env, error).map_or_else(|failure| failure, napi::Error::from)
}

fn fields<'env>(env: &'env Env, error: &Error) -> napi::Result<Unknown<'env>> {
    let mut object = env.create_error(napi::Error::from_reason(error.to_string()))?;
    object.set("code", error.code.name())?;
    object.set("operation", error.operation)?;
    set(&mut object, "detail", Some(error.detail.as_str()).filter(|detail| !detail.is_empty()))?;
    set(&mut object, "errno", error.errno.map(|errno| -errno))?;
    set(&mut object, "syscall", error.syscall)?;
    set(&mut object, "path", error.path.as_deref())?;
    set(&mut object, "holder", error.holder)?;
    object.set("kernelMessages", error.kernel_messages.clone())?;
    Ok(object.to_unknown())
}

fn set<T: ToNapiValue>(
    object: &mut napi::bindgen_prelude::Object,
    name: &str,
    value: Option<T>,
) -> napi::Result<()> {
    match value {
        Some(value) => object.set(name, value),
        None => Ok(()),
    }
}

//! Values that several subjects pass.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use ocfs2_group_sys::device;

/// `DeviceNumber` of ts/native-types.ts.
#[napi(object, object_from_js = false)]
pub struct DeviceNumber {
    pub major: u32,
    pub minor: u32,
}

impl From<device::DeviceNumber> for DeviceNumber {
    fn from(number: device::DeviceNumber) -> Self {
        DeviceNumber { major: number.major, minor: number.minor }
    }
}

/// A bigint that must be an unsigned 64-bit number.
pub fn bits(value: &BigInt) -> napi::Result<u64> {
    match value.get_u64() {
        (false, bits, true) => Ok(bits),
        _ => Err(napi::Error::new(napi::Status::InvalidArg, "a bigint from 0 to 2^64-1 is needed")),
    }
}

//! What is held until it is released: descriptors. The collector releases what JavaScript forgot.

use std::os::fd::OwnedFd;

use napi_derive::napi;

/// An open descriptor whose being open matters: a claim, a lock.
#[napi]
pub struct HeldDescriptor(Option<OwnedFd>);

impl HeldDescriptor {
    pub fn new(file: OwnedFd) -> Self {
        HeldDescriptor(Some(file))
    }
}

#[napi]
impl HeldDescriptor {
    /// Closes it; twice does nothing.
    #[napi(catch_unwind)]
    pub fn release(&mut self) {
        self.0 = None;
    }
}

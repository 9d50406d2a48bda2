//! What can go wrong between a block number and a struct: the device does not deliver, or the bytes are not what they
//! should be. The place that knows what was looked for turns it into a coded error.

use crate::OPERATION;
use ocfs2_group_error::{Code, Error};
use std::fmt;

/// What is wrong with some bytes, as a lower-case phrase without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect(String);

impl Defect {
    /// A defect described by `phrase`.
    pub fn new(phrase: impl Into<String>) -> Self {
        Defect(phrase.into())
    }

    /// The same defect after the name of the thing that has it: `block 12: …`.
    #[must_use]
    pub fn of(self, thing: impl fmt::Display) -> Self {
        Defect(format!("{thing}: {}", self.0))
    }

    /// The coded error.
    pub fn into_error(self, code: Code) -> Error {
        Error::new(code, OPERATION, self.0)
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A failed attempt to get a struct from the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Reading failed; the reader's own error, passed through unchanged.
    Read(Error),
    /// The bytes were read and are not usable.
    Defect(Defect),
}

impl Fault {
    /// The same fault, its defect after the name of the thing that has it.
    #[must_use]
    pub fn of(self, thing: impl fmt::Display) -> Self {
        match self {
            Fault::Read(error) => Fault::Read(error),
            Fault::Defect(defect) => Fault::Defect(defect.of(thing)),
        }
    }

    /// The reader's error, or the defect with `code`.
    pub fn into_error(self, code: Code) -> Error {
        match self {
            Fault::Read(error) => error,
            Fault::Defect(defect) => defect.into_error(code),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Read(error)
    }
}

impl From<Defect> for Fault {
    fn from(defect: Defect) -> Self {
        Fault::Defect(defect)
    }
}

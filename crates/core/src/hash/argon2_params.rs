//! The cost parameters of Argon2id.

/// The cost of Argon2id.
///
/// The default is 19456 KiB, 2 passes and 1 lane, as OWASP recommends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Argon2Params {
    /// The maximum memory, in KiB: 256 MiB.
    pub const MAX_MEMORY_KIB: u32 = 256 * 1024;
    /// The maximum number of passes.
    pub const MAX_PASSES: u32 = 16;
    /// The maximum number of lanes. Lanes are computed one after another.
    pub const MAX_LANES: u32 = 16;

    /// Creates parameters: at least 8 KiB of memory per lane, at least 1 pass over the memory, and
    /// at least 1 lane. The maximums limit the cost of a hostile row in the database.
    ///
    /// # Errors
    ///
    /// [`Argon2ParamsError`] if a parameter is out of range.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, Argon2ParamsError> {
        let in_range = memory_kib <= Self::MAX_MEMORY_KIB
            && (1..=Self::MAX_PASSES).contains(&passes)
            && (1..=Self::MAX_LANES).contains(&lanes)
            && memory_kib >= 8 * lanes;
        if in_range {
            Ok(Self {
                memory_kib,
                passes,
                lanes,
            })
        } else {
            Err(Argon2ParamsError)
        }
    }

    /// Returns the memory in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Returns the number of passes over the memory.
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Returns the number of lanes.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
            lanes: 1,
        }
    }
}

/// An error from [`Argon2Params::new`]: a parameter is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("argon2 parameters must be 8 KiB per lane to 256 MiB, 1 to 16 passes and 1 to 16 lanes")]
#[non_exhaustive]
pub struct Argon2ParamsError;

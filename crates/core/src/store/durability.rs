//! The failures that an acknowledged write survives.

/// The failures that an acknowledged write survives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Durability {
    /// None. The data is lost when the process ends.
    Process,
    /// A crash of the process, but not a crash of the host.
    ProcessCrash,
    /// A crash of the host, such as a power failure.
    HostCrash,
}

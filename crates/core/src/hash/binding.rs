//! The data that a hash and a tag are bound to.

use sha2::{Digest, Sha256};

use crate::{Environment, KeyId, Workspace};

/// A digest of the id, the workspace and the environment of a key, and that workspace.
///
/// The digest is an input of the hash and the tag of the key's secret. It is never stored: each
/// verification recomputes it from the record. So a hash or a tag that was copied to another row,
/// or a row that was moved to another workspace, does not verify.
#[derive(Clone)]
pub(crate) struct Binding {
    digest: [u8; 32],
    workspace: Workspace,
}

impl Binding {
    pub(crate) fn new(id: &KeyId, workspace: &Workspace, environment: Environment) -> Self {
        let mut digest = Sha256::new();
        let parts = [
            id.as_bytes(),
            workspace.as_str().as_bytes(),
            environment.as_str().as_bytes(),
        ];
        for part in parts {
            // The length fits in one byte: no part has more than 64 bytes.
            digest.update([part.len().to_le_bytes()[0]]);
            digest.update(part);
        }
        Self {
            digest: digest.finalize().into(),
            workspace: workspace.clone(),
        }
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Returns the workspace of the key.
    pub(super) const fn workspace(&self) -> &Workspace {
        &self.workspace
    }
}

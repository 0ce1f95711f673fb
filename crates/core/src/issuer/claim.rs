//! Claims the store for the prefix of the tokens.

use super::{IssueError, Issuer};

impl Issuer {
    /// Claims the store for the configured prefix, unless it is known to have the claim.
    pub(crate) async fn claim_prefix(&self) -> Result<(), IssueError> {
        if self.verifier.is_prefix_claimed() {
            return Ok(());
        }
        let configured = self.verifier.prefix();
        let claimed = self.verifier.store().claim_prefix(configured).await?;
        if claimed != *configured {
            return Err(IssueError::Prefix {
                store: claimed,
                configured: configured.clone(),
            });
        }
        self.verifier.mark_prefix_claimed();
        Ok(())
    }
}

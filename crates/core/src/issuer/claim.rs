//! Claims the store for the prefix of the tokens.

use super::{IssueError, Issuer};

impl Issuer {
    /// Claims the store for the configured prefix, unless it is known to have the claim.
    pub(super) async fn claim_prefix(&self) -> Result<(), IssueError> {
        if self.0.is_prefix_claimed() {
            return Ok(());
        }
        let configured = self.0.prefix();
        let claimed = self.0.store().claim_prefix(configured).await?;
        if claimed != *configured {
            return Err(IssueError::Prefix {
                store: claimed,
                configured: configured.clone(),
            });
        }
        self.0.mark_prefix_claimed();
        Ok(())
    }
}

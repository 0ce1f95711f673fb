//! Generates tokens and hashes their secrets.

use super::{IssueError, Issuer};
use crate::{
    Environment, KeyId, Secret, Token, Workspace,
    hash::{Binding, Credential},
    random::Generator,
};

/// A new token, and the hash that a store keeps.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
#[non_exhaustive]
pub struct Minted {
    /// The public id.
    pub id: KeyId,
    /// The token, to be shown to its owner once.
    pub token: Token,
    /// The hash and the tag of the secret.
    pub credential: Credential,
}

impl Issuer {
    /// Generates an id and a secret for a workspace and an environment, and hashes the secret.
    /// Checks no permission and stores nothing. Benchmarks use it to fill stores.
    ///
    /// # Errors
    ///
    /// [`IssueError::Random`] and [`IssueError::Hash`].
    #[doc(hidden)]
    pub async fn mint(
        &self,
        workspace: &Workspace,
        environment: Environment,
    ) -> Result<Minted, IssueError> {
        let now = self.verifier.now();
        self.mint_with_id(workspace, environment, |random| {
            KeyId::generate(now, random)
        })
        .await
    }

    pub(crate) async fn mint_with_id(
        &self,
        workspace: &Workspace,
        environment: Environment,
        id: impl FnOnce(&mut Generator) -> KeyId,
    ) -> Result<Minted, IssueError> {
        let mut random = Generator::seeded(self.verifier.entropy())?;
        let id = id(&mut random);
        let secret = Secret::generate(&mut random);
        let salt = random.bytes();
        drop(random);
        let token = Token::assemble(self.verifier.prefix(), environment, &id, &secret);
        let binding = Binding::new(&id, workspace, environment);
        let credential = self
            .verifier
            .hasher()
            .credential(binding, salt, secret.expose())
            .await?;
        Ok(Minted {
            id,
            token,
            credential,
        })
    }
}

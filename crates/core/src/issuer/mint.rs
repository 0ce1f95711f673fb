//! Drawing a token and hashing its secret.

use super::{IssueError, Issuer};
use crate::{
    Credential, Environment, KeyId, Secret, Token, Workspace, hash::Binding, random::Generator,
};

/// A token that was drawn, and what a store keeps of it.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
#[non_exhaustive]
pub struct Minted {
    /// The public id.
    pub id: KeyId,
    /// The token, for its owner.
    pub token: Token,
    /// The hash and the tag, for the store.
    pub credential: Credential,
}

impl Issuer {
    // For the benches: it asks for nobody's permission.
    #[doc(hidden)]
    /// Draws an id and a secret for a workspace and an environment, and hashes the secret. Nothing is
    /// stored and nobody's permission is asked: this is the step of
    /// [`create`](Self::create) for hosts that build records of their own.
    ///
    /// # Errors
    ///
    /// [`IssueError::Random`] and [`IssueError::Hash`].
    pub async fn mint(
        &self,
        workspace: &Workspace,
        environment: Environment,
    ) -> Result<Minted, IssueError> {
        let now = self.0.now();
        self.mint_with_id(workspace, environment, |random| {
            KeyId::generate(now, random)
        })
        .await
    }

    pub(super) async fn mint_with_id(
        &self,
        workspace: &Workspace,
        environment: Environment,
        id: impl FnOnce(&mut Generator) -> KeyId,
    ) -> Result<Minted, IssueError> {
        let mut random = Generator::seeded(self.0.entropy())?;
        let id = id(&mut random);
        let secret = Secret::generate(&mut random);
        let salt = random.bytes();
        drop(random);
        let token = Token::assemble(self.0.prefix(), environment, &id, &secret);
        let binding = Binding::new(&id, workspace, environment);
        let credential = self
            .0
            .hasher()
            .credential(&id, binding, salt, secret.expose())
            .await?;
        Ok(Minted {
            id,
            token,
            credential,
        })
    }
}

//! The Argon2id scheme.

use std::collections::TryReserveError;

use argon2::{Algorithm, Argon2, AssociatedData, Block, Params, ParamsBuilder, Version};

use super::{argon2_params::Argon2Params, binding::Binding, stored::NativeHash};
use crate::{meter, token::Secret};

/// The memory of Argon2 runs, reused by one run after another.
#[derive(Default)]
pub(crate) struct Blocks(Vec<Block>);

#[cfg(test)]
crate::secrecy::assert_secret!(Blocks);

impl Blocks {
    /// Returns `count` blocks, and reallocates them if there are more or fewer.
    pub(crate) fn get(&mut self, count: usize) -> Result<&mut [Block], TryReserveError> {
        if self.0.len() != count {
            self.0 = Vec::new();
            self.0.try_reserve_exact(count)?;
            self.0.resize(count, Block::new());
        }
        Ok(&mut self.0)
    }
}

/// Hashes a secret. The binding is Argon2's associated data, and the pepper its secret value (RFC
/// 9106, section 3.1).
pub(super) fn hash(
    cost: Argon2Params,
    pepper: Option<&[u8]>,
    binding: &Binding,
    salt: &[u8],
    secret: &Secret,
    blocks: &mut Blocks,
) -> Result<[u8; NativeHash::OUTPUT_LENGTH], Box<dyn std::error::Error + Send + Sync>> {
    let params = params(cost, binding)?;
    let blocks = blocks.get(params.block_count())?;
    let argon2 = match pepper {
        Some(key) => Argon2::new_with_secret(key, Algorithm::Argon2id, Version::V0x13, params)?,
        None => Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
    };
    let mut output = [0; NativeHash::OUTPUT_LENGTH];
    meter::argon2_started();
    argon2.hash_password_into_with_memory(secret.expose(), salt, &mut output, blocks)?;
    Ok(output)
}

fn params(cost: Argon2Params, binding: &Binding) -> Result<Params, argon2::Error> {
    ParamsBuilder::new()
        .m_cost(cost.memory_kib())
        .t_cost(cost.passes())
        .p_cost(cost.lanes())
        .output_len(NativeHash::OUTPUT_LENGTH)
        .data(AssociatedData::new(binding.as_bytes())?)
        .build()
}

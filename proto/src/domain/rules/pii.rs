//! Steps that keep a person's data to itself: hashes, masks, and nothing at all.
//!
//! Each but the keyed hash has two homes, which give the same text: the source where it comes before
//! every step of the agent, the agent behind one.

use super::draft::{Draft, INPUT};
use super::scope::Scope;
use super::texts::{as_text, in_agent, sure};
use super::ty::Ty;
use crate::domain::compiled::{AgentOp, Digest, REDACTED};
use crate::domain::plan::{HashAlgorithm, Hmac};

/// `server_version_num` from which PostgreSQL has the SHA-2 functions.
const HAS_SHA2: u32 = 110_000;
/// The longest text that a type of PostgreSQL can name.
const MAX_CHARACTERS: u32 = 10_485_760;

fn digest(algorithm: Option<&HashAlgorithm>) -> Digest {
    match algorithm {
        None | Some(HashAlgorithm::Sha256) => Digest::Sha256,
        Some(HashAlgorithm::Sha512) => Digest::Sha512,
    }
}

/// Hexadecimal digits of a hash.
fn length(digest: Digest) -> u32 {
    match digest {
        Digest::Sha256 => 64,
        Digest::Sha512 => 128,
    }
}

/// `hash`, of the UTF-8 form whatever the source's encoding.
pub(super) fn hash(
    scope: &Scope<'_>,
    draft: Draft,
    algorithm: Option<&HashAlgorithm>,
    path: &str,
) -> Option<Draft> {
    let digest = digest(algorithm);
    let draft = as_text(scope, draft, path)?;
    let ty = Ty::Text(Some(length(digest)));
    let draft = if draft.agent.is_empty() && scope.server_version >= HAS_SHA2 {
        let function = match digest {
            Digest::Sha256 => "sha256",
            Digest::Sha512 => "sha512",
        };
        let sql = format!(
            "encode({function}(convert_to({}, 'UTF8')), 'hex')",
            draft.sql
        );
        draft.becomes(sql, ty)
    } else {
        in_agent(draft, sure(AgentOp::Hash(digest), path), ty)
    };
    Some(Draft {
        is_deterministic: true,
        ..draft
    })
}

/// `hmac`: the agent has the key.
pub(super) fn hmac(scope: &Scope<'_>, draft: Draft, rule: &Hmac, path: &str) -> Option<Draft> {
    let key_from = rule.key_from.0.clone();
    if !key_from.strip_prefix("env:").is_some_and(is_variable) {
        let message = "must be env:NAME, a variable of the agent's environment";
        return scope.problem(&format!("{path}.key_from"), message);
    }
    let digest = digest(rule.algorithm.as_ref());
    let draft = as_text(scope, draft, path)?;
    let ty = Ty::Text(Some(length(digest)));
    let step = sure(AgentOp::Hmac { digest, key_from }, path);
    let draft = in_agent(draft, step, ty);
    Some(Draft {
        is_deterministic: true,
        ..draft
    })
}

/// Whether a text can be the name of a variable.
fn is_variable(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(fits)
}

/// `mask`: as many characters as before, of which only the last are known.
pub(super) fn mask(scope: &Scope<'_>, draft: Draft, keep_last: u32, path: &str) -> Option<Draft> {
    if keep_last > MAX_CHARACTERS {
        let message = format!("more than {MAX_CHARACTERS} characters");
        return scope.problem(&format!("{path}.keep_last"), message);
    }
    let draft = as_text(scope, draft, path)?;
    let ty = draft.ty.clone();
    if !draft.agent.is_empty() {
        return Some(in_agent(draft, sure(AgentOp::Mask { keep_last }, path), ty));
    }
    let sql = draft.fill(&format!(
        "lpad(right({INPUT}, {keep_last}), char_length({INPUT}), '*')"
    ));
    Some(draft.becomes(sql, ty))
}

/// `redact`: one text for every value; not even its length is left.
pub(super) fn redact(draft: Draft, path: &str) -> Draft {
    let ty = Ty::Text(u32::try_from(REDACTED.len()).ok());
    let draft = if draft.agent.is_empty() {
        let sql = draft.fill(&format!(
            "(CASE WHEN {INPUT} IS NOT NULL THEN '{REDACTED}'::text END)"
        ));
        draft.becomes(sql, ty)
    } else {
        in_agent(draft, sure(AgentOp::Redact, path), ty)
    };
    Draft {
        is_deterministic: true,
        known: Some([REDACTED.to_owned()].into()),
        ..draft
    }
}

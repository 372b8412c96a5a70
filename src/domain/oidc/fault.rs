//! Why a login at a provider failed, in the words of the audit log.

/// Why a provider's answer names nobody. Read by audit and diagnosis; it has no path into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OidcFault {
    /// The attempt was never begun, or is used.
    AttemptUnknown,
    /// The attempt is too old.
    AttemptExpired,
    /// The attempt was begun in another browser.
    OtherBrowser,
    /// The answer came to the redirect address of another provider, portal or organization.
    OtherProvider,
    /// The guardian gave up, or the provider says so (`access_denied` and its kin).
    GivenUp,
    /// The provider answered with another error.
    ProviderError,
    /// `iss` of the answer is missing where it must be there, or another's (RFC 9207).
    ResponseIssuer,
    /// The provider did not take the code.
    CodeRefused,
    /// The token answer is none.
    TokenAnswer,
    /// There is no ID token, or it is no JWT, too long, encrypted, or has a claim twice.
    IdTokenMalformed,
    /// Its algorithm is none of those that are allowed.
    IdTokenAlgorithm,
    /// No published key is the one that it was signed with.
    IdTokenKey,
    /// Its signature is wrong.
    IdTokenSignature,
    /// `iss` is missing or another's.
    IdTokenIssuer,
    /// `aud` is missing, another's, or names others besides us.
    IdTokenAudience,
    /// `azp` is another's.
    IdTokenAuthorizedParty,
    /// `exp` is missing or over.
    IdTokenExpired,
    /// `iat` is missing, in the future or too long ago, or `nbf` is in the future.
    IdTokenIssuedAt,
    /// `nonce` is missing or another's: the token is of another attempt.
    IdTokenNonce,
    /// `at_hash` does not fit the access token.
    IdTokenAccessTokenHash,
    /// `c_hash` does not fit the code.
    IdTokenCodeHash,
    /// `sub` is missing.
    IdTokenSubject,
    /// `acr` is none of those that are required.
    TooWeak,
    /// `auth_time` is missing or too long ago.
    TooOld,
    /// Userinfo is no answer, or not signed as it should be.
    Userinfo,
    /// Userinfo is about another `sub`.
    UserinfoSubject,
    /// The identifying claim is missing, or there are two.
    ClaimMissing,
    /// A claim that is required has another value.
    ClaimRefused,
    /// The identifying claim holds no identifier of its kind.
    ClaimMalformed,
}

impl OidcFault {
    /// All faults, for documentation tests.
    pub const ALL: [Self; 29] = [
        Self::AttemptUnknown,
        Self::AttemptExpired,
        Self::OtherBrowser,
        Self::OtherProvider,
        Self::GivenUp,
        Self::ProviderError,
        Self::ResponseIssuer,
        Self::CodeRefused,
        Self::TokenAnswer,
        Self::IdTokenMalformed,
        Self::IdTokenAlgorithm,
        Self::IdTokenKey,
        Self::IdTokenSignature,
        Self::IdTokenIssuer,
        Self::IdTokenAudience,
        Self::IdTokenAuthorizedParty,
        Self::IdTokenExpired,
        Self::IdTokenIssuedAt,
        Self::IdTokenNonce,
        Self::IdTokenAccessTokenHash,
        Self::IdTokenCodeHash,
        Self::IdTokenSubject,
        Self::TooWeak,
        Self::TooOld,
        Self::Userinfo,
        Self::UserinfoSubject,
        Self::ClaimMissing,
        Self::ClaimRefused,
        Self::ClaimMalformed,
    ];

    /// The name in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttemptUnknown => "attempt_unknown",
            Self::AttemptExpired => "attempt_expired",
            Self::OtherBrowser => "other_browser",
            Self::OtherProvider => "other_provider",
            Self::GivenUp => "given_up",
            Self::ProviderError => "provider_error",
            Self::ResponseIssuer => "response_issuer",
            Self::CodeRefused => "code_refused",
            Self::TokenAnswer => "token_answer",
            Self::IdTokenMalformed => "id_token_malformed",
            Self::IdTokenAlgorithm => "id_token_algorithm",
            Self::IdTokenKey => "id_token_key",
            Self::IdTokenSignature => "id_token_signature",
            Self::IdTokenIssuer => "id_token_issuer",
            Self::IdTokenAudience => "id_token_audience",
            Self::IdTokenAuthorizedParty => "id_token_authorized_party",
            Self::IdTokenExpired => "id_token_expired",
            Self::IdTokenIssuedAt => "id_token_issued_at",
            Self::IdTokenNonce => "id_token_nonce",
            Self::IdTokenAccessTokenHash => "id_token_at_hash",
            Self::IdTokenCodeHash => "id_token_c_hash",
            Self::IdTokenSubject => "id_token_subject",
            Self::TooWeak => "too_weak",
            Self::TooOld => "too_old",
            Self::Userinfo => "userinfo",
            Self::UserinfoSubject => "userinfo_subject",
            Self::ClaimMissing => "claim_missing",
            Self::ClaimRefused => "claim_refused",
            Self::ClaimMalformed => "claim_malformed",
        }
    }
}

//! What a broker says of itself, and its keys.

use axum::Json;
use serde_json::{Value, json};

use super::Asked;

/// The discovery document (`OpenID` Connect Discovery §3).
pub(super) async fn discovery(Asked(provider): Asked) -> Json<Value> {
    let broker = provider.broker;
    let mut scopes = vec!["openid", "profile"];
    scopes.extend(broker.scopes());
    let mut document = json!({
        "issuer": provider.issuer,
        "authorization_endpoint": provider.at("authorize"),
        "token_endpoint": provider.at("token"),
        "userinfo_endpoint": provider.at("userinfo"),
        "jwks_uri": provider.at("jwks"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": [provider.key.algorithm()],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "acr_values_supported": [broker.acr()],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
    });
    if broker.takes_pushed() {
        document["pushed_authorization_request_endpoint"] = json!(provider.at("par"));
        document["require_pushed_authorization_requests"] = json!(true);
    }
    Json(document)
}

/// The keys (RFC 7517 §5).
pub(super) async fn keys(Asked(provider): Asked) -> Json<Value> {
    let keys: Vec<Value> = provider.key.public().into_iter().collect();
    Json(json!({ "keys": keys }))
}

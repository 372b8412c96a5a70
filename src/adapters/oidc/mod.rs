//! `OpenID` Connect providers as a relying party: authorization code flow with PKCE, and every check of what comes back.

mod settings;

pub use settings::{ClientAuth, OidcSettings, Pushed};

//! The pages of `dev`: the mailbox, and a small portal in which the stories can be clicked.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::SimulatedEids;
use crate::config::{Config, Mail};
use crate::domain::organization::Organization;
use crate::domain::secret::Secret;
use crate::simulators::{Pages, PortalAccess, Settings};

/// Serves the pages on `address` until `stop`. `tokens` are those of the callers, by name; `eids` what the portals send
/// people to.
///
/// # Errors
/// If the address is taken, or mails do not go into a folder.
pub async fn pages<S: BuildHasher + Sync>(
    config: &Config,
    address: SocketAddr,
    grpc: SocketAddr,
    tokens: &HashMap<String, Secret<String>, S>,
    eids: Option<&SimulatedEids>,
    stop: CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let Some(Mail::Folder { path }) = &config.mail else { anyhow::bail!("mails do not go into a folder") };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("--pages: {address} cannot be listened on; is something else using it? --pages takes another")
    })?;
    let access = |organization: &Organization| {
        let token = tokens.get(&format!("{}-portal", organization.id.as_str()));
        let access =
            organization.portals.iter().zip(std::iter::repeat(token)).filter_map(|(portal, token)| {
                Some(PortalAccess {
                    organization: organization.id.as_str().to_owned(),
                    display_name: organization.display_name.clone(),
                    portal: *portal,
                    token: token?.copied(),
                })
            });
        access.collect::<Vec<_>>()
    };
    let portals = config.organizations.iter().flat_map(access).collect();
    let settings = Settings {
        mailbox_dir: path.clone(),
        grpc,
        portals,
        bankid: eids.map(SimulatedEids::bankid),
        providers: eids.map(SimulatedEids::providers),
    };
    Ok(tokio::spawn(Pages::serve(listener, settings, stop)))
}

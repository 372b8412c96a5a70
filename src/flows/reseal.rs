//! Sealing everything that is kept anew with the active master key, while logins go on.

mod pace;
mod summary;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::domain::audit::{Event, Fact};
use crate::domain::id::AuditEventId;
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose, Sealed};
use crate::ports::store::{ChainGrowth, ResealedRow, SealedKind, SealedRow, Store};

use super::{audit_head, eid_login, national_id, signing_keys};

pub use pace::Pace;
pub use summary::{Progress, Summary};

/// Rows that are written in one transaction: so few that nobody waits for them.
const ROWS_PER_WRITE: usize = 500;

/// Rows that are looked at in one read.
const ROWS_PER_READ: u32 = 2000;

/// Every pass but the last finds rows that were written meanwhile, by a replica with the old key: three in a row mean that
/// there is one.
const MOST_PASSES: u32 = 5;

/// A store that is away is asked again after this pause, this often: nothing is lost, but the command would have to be run
/// again.
const PAUSE: Duration = Duration::from_secs(1);
const MOST_PAUSES: u32 = 30;

/// The name of the command in audit events.
const CALLER: &str = "keys-rotate-data";

/// Seals anew.
pub struct Reseal {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Has the old keys and the active one.
    pub vault: Arc<dyn KeyVault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// A pass over all tables.
struct Pass<'r> {
    summary: Summary,
    /// Organizations that have their event.
    told: BTreeSet<OrganizationId>,
    pace: Pace,
    progress: &'r mut (dyn FnMut(Progress) + Send),
}

impl Reseal {
    /// Seals everything that another key than the active one has sealed. What is done is done: run again after an
    /// interruption, it goes on with the rest.
    ///
    /// # Errors
    /// [`PortError`] if the store stays away.
    pub async fn run(
        &self,
        pace: Pace,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Summary, PortError> {
        let mut pass = Pass { summary: Summary::default(), told: BTreeSet::new(), pace, progress };
        for _ in 0..MOST_PASSES {
            let before = pass.summary.resealed_in_all();
            pass.summary.forget_what_is_left();
            for kind in SealedKind::ALL {
                self.table(&mut pass, kind).await?;
            }
            if pass.summary.resealed_in_all() == before {
                break;
            }
        }
        self.heads(&mut pass.summary).await?;
        for passing in self.store.passing(self.vault.active_key_id(), self.clock.now()).await? {
            pass.summary.passing.insert(passing.key_id, passing.rows);
        }
        pass.summary.configured = self.vault.key_ids().to_vec();
        Ok(pass.summary)
    }

    async fn table(&self, pass: &mut Pass<'_>, kind: SealedKind) -> Result<(), PortError> {
        let mut after = String::new();
        loop {
            let active = self.vault.active_key_id();
            let begun = Instant::now();
            let page =
                patiently(async || self.store.sealed_otherwise(kind, active, &after, ROWS_PER_READ).await)
                    .await?;
            sleep(pass.pace.rest(0, begun.elapsed())).await;
            for rows in page.rows.chunks(ROWS_PER_WRITE) {
                let begun = Instant::now();
                self.write(pass, kind, rows).await?;
                (pass.progress)(Progress { kind, resealed: pass.summary.resealed_of(kind) });
                sleep(pass.pace.rest(rows.len(), begun.elapsed())).await;
            }
            match page.next_after {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }

    async fn write(
        &self,
        pass: &mut Pass<'_>,
        kind: SealedKind,
        rows: &[SealedRow],
    ) -> Result<(), PortError> {
        let mut resealed = Vec::with_capacity(rows.len());
        let mut organizations = BTreeSet::new();
        for row in rows {
            match self.anew(kind, row) {
                Some(anew) => {
                    organizations.extend(row.organization.clone());
                    resealed.push(anew);
                }
                None => pass.summary.leave(kind, &row.sealed.key_id, 1),
            }
        }
        let now = self.clock.now();
        let untold = organizations.difference(&pass.told);
        let events: Vec<Event> = untold.map(|organization| self.event(organization, now)).collect();
        let written = patiently(async || match self.store.reseal(kind, &resealed, &events).await {
            // One of them, or several, are there twice: those stay, one by one.
            Err(PortError::Conflict(_)) => Ok(None),
            other => other.map(Some),
        });
        if let Some(written) = written.await? {
            pass.summary.add(kind, written);
            pass.told.extend(organizations);
            return Ok(());
        }
        let before = pass.summary.resealed_in_all();
        self.write_singly(pass, kind, rows, resealed).await?;
        if pass.summary.resealed_in_all() > before {
            self.store.record_events(&events).await?;
            pass.told.extend(organizations);
        }
        Ok(())
    }

    /// Where two rows have one number, each under another key, both cannot have it under one.
    async fn write_singly(
        &self,
        pass: &mut Pass<'_>,
        kind: SealedKind,
        rows: &[SealedRow],
        resealed: Vec<ResealedRow>,
    ) -> Result<(), PortError> {
        for row in resealed {
            let written =
                patiently(async || match self.store.reseal(kind, std::slice::from_ref(&row), &[]).await {
                    Err(PortError::Conflict(_)) => Ok(None),
                    other => other.map(Some),
                });
            match (written.await?, kind) {
                (Some(written), _) => pass.summary.add(kind, written),
                (None, SealedKind::NumberProposal) => {
                    // Staff decide on the other one. Settled, it does not stand in the way at the next pass.
                    self.store.settle_repeated_proposal(&row.key, self.clock.now()).await?;
                    pass.summary.add(kind, self.store.reseal(kind, &[row], &[]).await?);
                }
                (None, _) => {
                    let holder =
                        rows.iter().find(|one| one.key == row.key).and_then(|one| one.account.clone());
                    pass.summary.repeated.extend(holder.map(|(account, _)| account));
                    pass.summary.leave(kind, &row.before.key_id, 1);
                }
            }
        }
        Ok(())
    }

    /// The row under the active key; `None` if it does not open.
    fn anew(&self, kind: SealedKind, row: &SealedRow) -> Option<ResealedRow> {
        let vault = self.vault.as_ref();
        let active = vault.active_key_id();
        let organization = || row.organization.as_ref();
        let (sealed, index) = match kind {
            SealedKind::Identifier | SealedKind::NumberProposal => {
                let (organization, (account, realm)) = (organization()?, row.account.as_ref()?);
                let before = national_id::seal_context(organization, account, &row.sealed.key_id);
                let plain = vault.open(Purpose::NationalIdSeal, &before, &row.sealed)?;
                let canonical = std::str::from_utf8(plain.expose()).ok()?;
                let after = national_id::seal_context(organization, account, active);
                let sealed = vault.seal(Purpose::NationalIdSeal, &after, canonical.as_bytes());
                let parts = national_id::index_parts(organization, *realm, canonical);
                (sealed, Some(vault.digest(Purpose::NationalIdIndex, &parts)))
            }
            SealedKind::Evidence => {
                let context = eid_login::evidence_context(organization()?, &row.key);
                (self.moved(Purpose::EvidenceSeal, &context, &row.sealed)?, None)
            }
            SealedKind::SigningKey => {
                (self.moved(Purpose::SigningKeySeal, &signing_keys::context(&row.key), &row.sealed)?, None)
            }
            SealedKind::Merge => {
                let context = merge_context(organization()?, &row.key);
                (self.moved(Purpose::MergeSeal, &context, &row.sealed)?, None)
            }
        };
        Some(ResealedRow { key: row.key.clone(), before: row.sealed.clone(), sealed, index })
    }

    fn moved(&self, purpose: Purpose, context: &[&[u8]], sealed: &Sealed) -> Option<Sealed> {
        let plain = self.vault.open(purpose, context, sealed)?;
        Some(self.vault.seal(purpose, context, plain.expose()))
    }

    /// Signs the heads of the audit chains anew. The sealer of a replica with the active key does so too: where it was
    /// quicker there is nothing left to do.
    async fn heads(&self, summary: &mut Summary) -> Result<(), PortError> {
        let (vault, active) = (self.vault.as_ref(), self.vault.active_key_id());
        for _ in 0..MOST_PASSES {
            let mut moved = false;
            summary.heads_left.clear();
            for stored in self.store.audit_heads().await? {
                let head = &stored.head;
                if head.signature.key_id == active {
                    continue;
                }
                let end = head.end;
                let anew = audit_head::sign(vault, &head.organization, end, self.clock.now());
                let growth = ChainGrowth { before: end, links: Vec::new(), head: anew };
                if !audit_head::may_go_on(vault, &stored) {
                    // Not ours to make good.
                    let key_id = head.signature.key_id.clone();
                    summary.heads_left.push((head.organization.clone(), key_id));
                } else if self.store.grow_chains(&[growth]).await? {
                    summary.heads += 1;
                } else {
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        Ok(())
    }

    fn event(&self, organization: &OrganizationId, at: Timestamp) -> Event {
        Event {
            id: AuditEventId::new(at, random_bytes(self.entropy.as_ref())),
            at,
            organization: organization.clone(),
            portal: None,
            fact: Fact::DataResealed,
            guardian: None,
            session: None,
            reference: None,
            caller: CALLER.to_owned(),
            address: None,
            user_agent: String::new(),
            known_device: false,
            staff: None,
            child: None,
            detail: Some(self.vault.active_key_id().to_owned()),
        }
    }
}

/// What the journal of a merge is bound to: organization, table, row, column.
fn merge_context<'a>(organization: &'a OrganizationId, id: &'a str) -> [&'a [u8]; 4] {
    [organization.as_str().as_bytes(), b"merge", id.as_bytes(), b"journal"]
}

/// Asks again while the store is away, for a while.
async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<T, PortError>) -> Result<T, PortError> {
    let mut pauses = 0;
    loop {
        match ask().await {
            Err(PortError::Unavailable { .. }) if pauses < MOST_PAUSES => {
                pauses += 1;
                sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

//! Verifying the audit log: every chain from its first link to its signed head, and every event for its place in one.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::audit_chain::{ChainEnd, ChainFault, ChainWalk, KeptHead};
use crate::domain::id::AuditEventId;
use crate::domain::organization::OrganizationId;
use crate::ports::clock::Clock;
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Signed};
use crate::ports::store::AuditChainStore;

use super::audit_head;

/// Links, or events, that are read at once: about a megabyte.
const PAGE: u32 = 2000;

/// An event that is not chained after this time was missed: longer than the sealer's wider look goes back.
pub const PATIENCE: Duration = Duration::from_mins(6);

/// Faults that are told one by one; beyond them they are counted. A log that was restored from something else has as many
/// as events.
pub const MOST_TOLD: usize = 1000;

/// Verifies.
pub struct AuditVerify {
    /// The store.
    pub store: Arc<dyn AuditChainStore>,
    /// Knows our signatures.
    pub vault: Arc<dyn KeyVault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What was found in an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Whose chain.
    pub organization: OrganizationId,
    /// Chained events that are as they were.
    pub events: u64,
    /// Events that are too young to be missed from the chain.
    pub waiting: u64,
    /// The signed end; `None` if there is no chain yet.
    pub end: Option<ChainEnd>,
    /// What is wrong, up to [`MOST_TOLD`].
    pub faults: Vec<ChainFault>,
    /// How much is wrong.
    pub faults_in_all: u64,
}

impl ChainReport {
    fn of(organization: OrganizationId) -> Self {
        Self { organization, events: 0, waiting: 0, end: None, faults: Vec::new(), faults_in_all: 0 }
    }

    fn note(&mut self, faults: &mut Vec<ChainFault>) {
        self.faults_in_all += faults.len() as u64;
        let room = MOST_TOLD.saturating_sub(self.faults.len());
        self.faults.extend(faults.drain(..).take(room));
    }
}

impl AuditVerify {
    /// Verifies the chains of all organizations, and that they contain the heads that were kept elsewhere. Memory is bounded
    /// whatever the length of the log.
    ///
    /// # Errors
    /// [`PortError`] if the log could not be read to its end.
    pub async fn run(&self, kept: &[KeptHead]) -> Result<Vec<ChainReport>, PortError> {
        let mut reports: Vec<ChainReport> = Vec::new();
        let mut after = String::new();
        while let Some(organization) = self.store.next_audited(&after).await? {
            organization.as_str().clone_into(&mut after);
            reports.push(self.chain(organization, kept).await?);
        }
        for head in kept {
            if reports.iter().all(|report| report.organization != head.organization) {
                let mut report = ChainReport::of(head.organization.clone());
                let fault = ChainFault::KeptHeadGone { position: head.end.position, last: 0 };
                report.note(&mut vec![fault]);
                reports.push(report);
            }
        }
        self.unchained(&mut reports).await?;
        Ok(reports)
    }

    async fn chain(&self, organization: OrganizationId, kept: &[KeptHead]) -> Result<ChainReport, PortError> {
        let extent = self.store.chain_extent(&organization).await?;
        let kept = kept.iter().filter(|head| head.organization == organization).map(|head| head.end);
        let mut walk = ChainWalk::new(kept.collect());
        let mut report = ChainReport::of(organization);
        let mut faults = Vec::new();
        // What is added while we read is not of this walk: up to the last link that the head was read with.
        let mut after = 0;
        while after < extent.last {
            let links = self.store.chain_links(&report.organization, after, extent.last, PAGE).await?;
            let Some(last) = links.last() else { break };
            after = last.position;
            for link in links {
                walk.step(link, &mut faults);
            }
            report.note(&mut faults);
        }
        walk.finish(extent.head.as_ref().map(|head| head.end), &mut faults);
        if let Some(head) = &extent.head {
            match audit_head::look(self.vault.as_ref(), head) {
                Signed::Genuine => {}
                Signed::Forged => faults.push(ChainFault::HeadForged { position: head.end.position }),
                Signed::KeyGone => {
                    faults.push(ChainFault::HeadKeyGone { key_id: head.signature.key_id.clone() });
                }
            }
        }
        report.note(&mut faults);
        report.events = walk.events();
        report.end = extent.head.map(|head| head.end);
        Ok(report)
    }

    /// Events that no link names.
    async fn unchained(&self, reports: &mut Vec<ChainReport>) -> Result<(), PortError> {
        let missed_before = self.clock.now().minus(PATIENCE);
        let mut after = String::new();
        loop {
            let page = self.store.unchained_events(&after, PAGE).await?;
            for event in page.events {
                let known = reports.iter().position(|report| report.organization == event.organization);
                // Its first event came while we read.
                let place = known.unwrap_or_else(|| {
                    reports.push(ChainReport::of(event.organization.clone()));
                    reports.len() - 1
                });
                let report = &mut reports[place];
                // Both times are the same, unless somebody else than the service wrote the event.
                let made = AuditEventId::parse(&event.id).map_or(event.at, |id| id.made().min(event.at));
                if made > missed_before {
                    report.waiting += 1;
                    continue;
                }
                let told = report.faults.len() < MOST_TOLD;
                let after =
                    if told { self.store.position_at(&event.organization, event.at).await? } else { 0 };
                report.note(&mut vec![ChainFault::NotChained { event_id: event.id, after }]);
            }
            match page.next_after {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}

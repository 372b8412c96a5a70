//! The store's part in a login with BankID: orders that every replica can show, and one collects.

use std::net::IpAddr;

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::bankid::{BankIdFault, Device, HintCode, OrderState};
use crate::domain::id::BankIdLoginId;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;

/// A BankID order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankIdOrder {
    /// Our name for it.
    pub id: BankIdLoginId,
    /// In which organization.
    pub organization: OrganizationId,
    /// At which portal.
    pub portal: Portal,
    /// On which device BankID is.
    pub device: Device,
    /// Keyed digest of the browser's secret.
    pub binding_digest: [u8; 32],
    /// Keyed digest of the nonce that the app brings back: the same device only.
    pub nonce_digest: Option<[u8; 32]>,
    /// What BankID knows it by, and what a new order needs; sealed for this row.
    pub sealed: Sealed,
    /// How far it is.
    pub state: OrderState,
    /// BankID's last hint.
    pub hint: Option<HintCode>,
    /// Why it failed, if it did.
    pub fault: Option<BankIdFault>,
    /// Who signed and the evidence, sealed for this row, while complete: dropped when it is used or given up.
    pub result: Option<Sealed>,
    /// The end user's address at the beginning.
    pub address: Option<IpAddr>,
    /// The end user's user agent at the beginning, cleaned and cut.
    pub user_agent: String,
    /// When it was begun, before any restart.
    pub begun: Timestamp,
    /// When BankID answered with the order that runs now: second 0 of its QR code.
    pub started: Timestamp,
    /// How many orders were begun in its place since.
    pub restarts: i64,
    /// Dead after this.
    pub expires: Timestamp,
}

/// Who collects an order: one process, until the lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorLease {
    /// The process, by a random name.
    pub collector: String,
    /// Until when.
    pub until: Timestamp,
}

/// What an order has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A new hint.
    Hint(HintCode),
    /// A new order in place of one that nobody opened.
    Restarted {
        /// What BankID knows it by.
        sealed: Sealed,
        /// When BankID answered.
        started: Timestamp,
    },
    /// Signed.
    Complete {
        /// Who signed and the evidence.
        result: Sealed,
        /// The portal must fetch the session before this.
        expires: Timestamp,
    },
    /// Failed for good.
    Failed {
        /// BankID's hint, if it is BankID that failed it.
        hint: Option<HintCode>,
        /// Why.
        fault: BankIdFault,
        /// What the audit log says of it.
        event: Box<Event>,
    },
}

/// Questions of the BankID login flow.
#[async_trait]
pub trait LoginBankIdStore: Send + Sync {
    /// Keeps an order that was begun, leased to its beginner.
    ///
    /// # Errors
    /// [`PortError`].
    async fn add_bankid_order(&self, order: &BankIdOrder, lease: &CollectorLease) -> Result<(), PortError>;

    /// An order, whatever its state.
    ///
    /// # Errors
    /// [`PortError`].
    async fn bankid_order(&self, id: &BankIdLoginId) -> Result<Option<BankIdOrder>, PortError>;

    /// Several orders at once, for those who watch; those that are gone are left out.
    ///
    /// # Errors
    /// [`PortError`].
    async fn bankid_orders(&self, ids: &[BankIdLoginId]) -> Result<Vec<BankIdOrder>, PortError>;

    /// Takes pending orders that nobody collects: their lease ended by `now`. At most `limit`, oldest first. Those whose
    /// `expires` is over too: they fail by being collected.
    ///
    /// # Errors
    /// [`PortError`].
    async fn lease_bankid_orders(
        &self,
        lease: &CollectorLease,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<BankIdOrder>, PortError>;

    /// Makes the leases of a collector longer, of all its orders that are pending. Which orders are its own still.
    ///
    /// # Errors
    /// [`PortError`].
    async fn renew_bankid_leases(&self, lease: &CollectorLease) -> Result<Vec<BankIdLoginId>, PortError>;

    /// Lets go of a collector's orders, for others to take at once.
    ///
    /// # Errors
    /// [`PortError`].
    async fn release_bankid_orders(&self, collector: &str, now: Timestamp) -> Result<(), PortError>;

    /// Writes down what an order has come to, if it is pending and the collector's still; false if not: then nothing was
    /// written. A signature counts whoever collects by now: BankID tells of it once.
    ///
    /// # Errors
    /// [`PortError`].
    async fn note_bankid_progress(
        &self,
        id: &BankIdLoginId,
        collector: &str,
        progress: &Progress,
    ) -> Result<bool, PortError>;

    /// Gives an order up, pending or complete, and writes the event; false if it was over already.
    ///
    /// # Errors
    /// [`PortError`].
    async fn cancel_bankid_order(&self, id: &BankIdLoginId, event: &Event) -> Result<bool, PortError>;

    /// Drops orders whose `expires` is before; says how many.
    ///
    /// # Errors
    /// [`PortError`].
    async fn sweep_bankid_orders(&self, before: Timestamp) -> Result<u64, PortError>;
}

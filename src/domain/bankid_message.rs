//! What a guardian is told while BankID is under way: the id of BankID's message, and our own short words beside it.

use super::bankid::{Device, HintCode, OrderState};

/// The situations that BankID has a recommended text for. The words are ours; who has the official ones shows those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Situation {
    /// Start the app, or scan.
    Rfa1,
    /// The app is not there.
    Rfa2,
    /// Given up.
    Rfa3,
    /// Another order of this person was under way.
    Rfa4,
    /// BankID is away.
    Rfa5,
    /// The person gave up.
    Rfa6,
    /// No answer in time.
    Rfa8,
    /// Enter the code.
    Rfa9,
    /// The app is being opened.
    Rfa13,
    /// The app looks for a BankID, on a computer.
    Rfa15A,
    /// The same on a phone.
    Rfa15B,
    /// The BankID is blocked or too old.
    Rfa16,
    /// The app did not start, by link.
    Rfa17A,
    /// The app did not start, by QR code.
    Rfa17B,
    /// Under way.
    Rfa21,
    /// An unknown failure.
    Rfa22,
    /// Show the identity document.
    Rfa23,
    /// Show the face.
    Rfa24,
    /// A further step in the app.
    Rfa25,
    /// The identity document was not read.
    Rfa26,
    /// The face was not known.
    Rfa27,
    /// The device cannot read the document.
    Rfa28,
    /// Several BankIDs on the device.
    Rfa29,
    /// The further step failed.
    Rfa30,
}

/// A message for a guardian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id in BankID's list, e.g. `RFA9`.
    pub id: &'static str,
    /// Our words in Swedish.
    pub text_sv: &'static str,
    /// Our words in English.
    pub text_en: &'static str,
}

impl Situation {
    /// The situation of an order. `on_phone`: the browser is on a phone or tablet.
    pub fn of(state: OrderState, hint: Option<&HintCode>, device: Device, on_phone: bool) -> Self {
        let _ = (state, hint, device, on_phone);
        Self::Rfa21
    }

    /// What to say.
    pub fn message(self) -> Message {
        Message { id: "RFA21", text_sv: "", text_en: "" }
    }
}

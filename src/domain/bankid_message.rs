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
    /// More than one BankID on the device.
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

/// The words of each situation, by its id.
const TEXTS: &str = include_str!("data/bankid_messages.txt");

impl Situation {
    /// All situations, for documentation tests.
    pub const ALL: [Self; 24] = [
        Self::Rfa1,
        Self::Rfa2,
        Self::Rfa3,
        Self::Rfa4,
        Self::Rfa5,
        Self::Rfa6,
        Self::Rfa8,
        Self::Rfa9,
        Self::Rfa13,
        Self::Rfa15A,
        Self::Rfa15B,
        Self::Rfa16,
        Self::Rfa17A,
        Self::Rfa17B,
        Self::Rfa21,
        Self::Rfa22,
        Self::Rfa23,
        Self::Rfa24,
        Self::Rfa25,
        Self::Rfa26,
        Self::Rfa27,
        Self::Rfa28,
        Self::Rfa29,
        Self::Rfa30,
    ];

    /// The situation of an order. `on_phone`: the browser is on a phone or tablet. A code that is not known changes the
    /// text, never the outcome. Source: "User messages" and "Collect", RP API v6.0.
    pub fn of(state: OrderState, hint: Option<&HintCode>, device: Device, on_phone: bool) -> Self {
        let hint = hint.map_or("", HintCode::as_str);
        match state {
            OrderState::Pending => Self::of_pending(hint, device, on_phone),
            // The guardian has done everything; the portal fetches the session.
            OrderState::Complete => Self::Rfa21,
            OrderState::Failed => Self::of_failed(hint, device),
            OrderState::Cancelled => Self::Rfa3,
            // It is over, and asking again is no use: begin again.
            OrderState::Used => Self::Rfa22,
        }
    }

    fn of_pending(hint: &str, device: Device, on_phone: bool) -> Self {
        match hint {
            "outstandingTransaction" if device == Device::Same => Self::Rfa13,
            "outstandingTransaction" | "noClient" => Self::Rfa1,
            // Who scanned a code has the app on a phone, wherever the browser is.
            "started" if device == Device::Same && !on_phone => Self::Rfa15A,
            "started" => Self::Rfa15B,
            "userSign" => Self::Rfa9,
            "userMrtd" => Self::Rfa23,
            "userFace" => Self::Rfa24,
            "userStepUp" => Self::Rfa25,
            _ => Self::Rfa21,
        }
    }

    fn of_failed(hint: &str, device: Device) -> Self {
        match (hint, device) {
            ("expiredTransaction", _) => Self::Rfa8,
            ("certificateErr", _) => Self::Rfa16,
            ("userCancel", _) => Self::Rfa6,
            ("cancelled", _) => Self::Rfa3,
            ("startFailed", Device::Same) => Self::Rfa17A,
            ("startFailed", Device::Other) => Self::Rfa17B,
            ("mrtdVerificationFailed", _) => Self::Rfa26,
            ("facialRecognitionFailed", _) => Self::Rfa27,
            ("nfcNotSupportedByDevice", _) => Self::Rfa28,
            ("multipleBankIdsOnDevice", _) => Self::Rfa29,
            ("stepUpFailed", _) => Self::Rfa30,
            _ => Self::Rfa22,
        }
    }

    /// The id in BankID's list of messages.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Rfa1 => "RFA1",
            Self::Rfa2 => "RFA2",
            Self::Rfa3 => "RFA3",
            Self::Rfa4 => "RFA4",
            Self::Rfa5 => "RFA5",
            Self::Rfa6 => "RFA6",
            Self::Rfa8 => "RFA8",
            Self::Rfa9 => "RFA9",
            Self::Rfa13 => "RFA13",
            Self::Rfa15A => "RFA15A",
            Self::Rfa15B => "RFA15B",
            Self::Rfa16 => "RFA16",
            Self::Rfa17A => "RFA17A",
            Self::Rfa17B => "RFA17B",
            Self::Rfa21 => "RFA21",
            Self::Rfa22 => "RFA22",
            Self::Rfa23 => "RFA23",
            Self::Rfa24 => "RFA24",
            Self::Rfa25 => "RFA25",
            Self::Rfa26 => "RFA26",
            Self::Rfa27 => "RFA27",
            Self::Rfa28 => "RFA28",
            Self::Rfa29 => "RFA29",
            Self::Rfa30 => "RFA30",
        }
    }

    /// What to say.
    pub fn message(self) -> Message {
        let id = self.id();
        Message { id, text_sv: text(id, "sv = "), text_en: text(id, "en = ") }
    }
}

/// The ids of the sections of [`TEXTS`], each with what follows it.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    TEXTS.split("\n[").skip(1).filter_map(|section| section.split_once("]\n"))
}

/// The line of a section that begins so; empty if there is none, which a test rules out.
fn text(id: &str, begin: &str) -> &'static str {
    let section = sections().find_map(|(found, section)| (found == id).then_some(section));
    section.and_then(|section| section.lines().find_map(|line| line.strip_prefix(begin))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of(state: OrderState, hint: &str, device: Device, on_phone: bool) -> &'static str {
        Situation::of(state, Some(&HintCode::new(hint)), device, on_phone).id()
    }

    #[test]
    fn a_pending_order_is_told_by_its_hint_and_device() {
        // On another device; on the same computer; on the same phone.
        for (hint, other, computer, phone) in [
            ("outstandingTransaction", "RFA1", "RFA13", "RFA13"),
            ("noClient", "RFA1", "RFA1", "RFA1"),
            ("started", "RFA15B", "RFA15A", "RFA15B"),
            ("userMrtd", "RFA23", "RFA23", "RFA23"),
            ("userCallConfirm", "RFA21", "RFA21", "RFA21"),
            ("userSign", "RFA9", "RFA9", "RFA9"),
            ("processing", "RFA21", "RFA21", "RFA21"),
            ("userStepUp", "RFA25", "RFA25", "RFA25"),
            ("userFace", "RFA24", "RFA24", "RFA24"),
            ("aCodeOfTomorrow", "RFA21", "RFA21", "RFA21"),
            // Another status' codes are unknown here.
            ("startFailed", "RFA21", "RFA21", "RFA21"),
        ] {
            let told = [(Device::Other, false), (Device::Same, false), (Device::Same, true)]
                .map(|(device, on_phone)| of(OrderState::Pending, hint, device, on_phone));
            assert_eq!(told, [other, computer, phone], "{hint}");
        }
        assert_eq!(Situation::of(OrderState::Pending, None, Device::Other, true), Situation::Rfa21);
    }

    #[test]
    fn a_failed_order_is_told_by_its_hint() {
        for (hint, other, same) in [
            ("expiredTransaction", "RFA8", "RFA8"),
            ("certificateErr", "RFA16", "RFA16"),
            ("userCancel", "RFA6", "RFA6"),
            ("cancelled", "RFA3", "RFA3"),
            ("startFailed", "RFA17B", "RFA17A"),
            ("userDeclinedCall", "RFA22", "RFA22"),
            ("notSupportedByUserApp", "RFA22", "RFA22"),
            ("transactionRiskBlocked", "RFA22", "RFA22"),
            ("mrtdVerificationFailed", "RFA26", "RFA26"),
            ("facialRecognitionFailed", "RFA27", "RFA27"),
            ("nfcNotSupportedByDevice", "RFA28", "RFA28"),
            ("multipleBankIdsOnDevice", "RFA29", "RFA29"),
            ("stepUpFailed", "RFA30", "RFA30"),
            ("aCodeOfTomorrow", "RFA22", "RFA22"),
            ("userSign", "RFA22", "RFA22"),
        ] {
            let told = [Device::Other, Device::Same].map(|device| of(OrderState::Failed, hint, device, true));
            assert_eq!(told, [other, same], "{hint}");
        }
        assert_eq!(Situation::of(OrderState::Failed, None, Device::Same, true), Situation::Rfa22);
    }

    #[test]
    fn what_is_over_is_told_whatever_the_hint() {
        for (state, id) in
            [(OrderState::Complete, "RFA21"), (OrderState::Cancelled, "RFA3"), (OrderState::Used, "RFA22")]
        {
            assert_eq!(of(state, "userSign", Device::Same, true), id);
        }
    }

    #[test]
    fn every_situation_has_its_words_in_both_languages_and_no_other_has() {
        let told: BTreeSet<&str> = Situation::ALL.iter().map(|situation| situation.id()).collect();
        assert_eq!(told.len(), Situation::ALL.len(), "an id stands for one situation");
        let written: Vec<&str> = sections().map(|(id, _)| id).collect();
        assert_eq!(written.len(), told.len(), "a section is written once");
        assert_eq!(written.into_iter().collect::<BTreeSet<_>>(), told);
        for situation in Situation::ALL {
            let Message { id, text_sv, text_en } = situation.message();
            assert_eq!(id, situation.id());
            for text in [text_sv, text_en] {
                assert!(text.chars().count() > 5 && text.trim() == text, "{id}: {text}");
                assert!(text.ends_with(['.', '…', '!']), "{id}: {text}");
            }
            assert_ne!(text_sv, text_en, "{id}");
        }
    }
}

//! What is sealed of a BankID order, and what a guardian sees of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::bankid::{BankIdFault, Device, HintCode, OrderState, Risk};
use crate::domain::bankid_message::{Message, Situation};
use crate::domain::id::BankIdLoginId;
use crate::domain::identifier::NationalId;
use crate::domain::organization::OrganizationId;
use crate::domain::reference_code::ReferenceCode;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::bankid::{BankId, Completion, StartedOrder};
use crate::ports::key_vault::{KeyVault, Purpose, Sealed};
use crate::ports::store::BankIdOrder;

/// BankID for each organization that uses it, with its own certificate.
pub type BankIds = Arc<HashMap<OrganizationId, Arc<dyn BankId>>>;

/// What is remembered of an order that BankID runs, and what another one in its place needs.
pub struct OrderSecrets {
    /// The order.
    pub order: StartedOrder,
    /// To which address the app returns.
    pub return_url: Option<Secret<String>>,
    /// By what the browser's device is known again.
    pub device_identifier: Option<Secret<String>>,
}

impl OrderSecrets {
    /// Sealed for the order's row. A line a value: none of them holds a line end.
    pub fn seal(&self, vault: &dyn KeyVault, organization: &OrganizationId, id: &BankIdLoginId) -> Sealed {
        let StartedOrder { order_ref, autostart_token, qr_start_token, qr_start_secret } = &self.order;
        let optional = |value: &Option<Secret<String>>| {
            value.as_ref().map_or_else(String::new, |value| value.expose().clone())
        };
        let lines = Secret::new(
            [
                order_ref.expose().clone(),
                autostart_token.expose().clone(),
                qr_start_token.expose().clone(),
                qr_start_secret.expose().clone(),
                optional(&self.return_url),
                optional(&self.device_identifier),
            ]
            .join("\n"),
        );
        let context = context(organization, id, b"sealed");
        vault.seal(Purpose::EidAttemptSeal, &context, lines.expose().as_bytes())
    }

    /// Reads what [`Self::seal`] sealed; `None` if it does not open.
    pub fn open(vault: &dyn KeyVault, order: &BankIdOrder) -> Option<Self> {
        let context = context(&order.organization, &order.id, b"sealed");
        let opened = vault.open(Purpose::EidAttemptSeal, &context, &order.sealed)?;
        let lines: Vec<&str> = std::str::from_utf8(opened.expose()).ok()?.split('\n').collect();
        let [order_ref, autostart_token, qr_start_token, qr_start_secret, return_url, device_identifier] =
            lines.as_slice()
        else {
            return None;
        };
        let secret = |text: &str| Secret::new(text.to_owned());
        let optional = |text: &str| (!text.is_empty()).then(|| secret(text));
        Some(Self {
            order: StartedOrder {
                order_ref: secret(order_ref),
                autostart_token: secret(autostart_token),
                qr_start_token: secret(qr_start_token),
                qr_start_secret: secret(qr_start_secret),
            },
            return_url: optional(return_url),
            device_identifier: optional(device_identifier),
        })
    }
}

/// Who signed, and the evidence of it.
pub struct Signed {
    /// Who.
    pub person: NationalId,
    /// The family name, as the bank writes it.
    pub family_name: String,
    /// The address of the device with the app.
    pub app_address: Option<IpAddr>,
    /// BankID's judgement.
    pub risk: Option<Risk>,
    /// Signature and OCSP answer, a line each.
    pub evidence: Secret<Vec<u8>>,
}

impl Signed {
    /// A completed order's result, sealed for its row; `None` if BankID named nobody.
    pub fn seal(
        completion: &Completion,
        vault: &dyn KeyVault,
        organization: &OrganizationId,
        id: &BankIdLoginId,
    ) -> Option<Sealed> {
        let person = completion.personal_number.as_ref()?;
        let one_line = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
        let lines = Secret::new(
            [
                person.as_str().to_owned(),
                one_line(&completion.family_name),
                completion.app_address.map_or_else(String::new, |address| address.to_string()),
                completion.risk.map_or("", Risk::as_str).to_owned(),
                one_line(completion.signature.expose()),
                one_line(completion.ocsp_response.expose()),
            ]
            .join("\n"),
        );
        let context = context(organization, id, b"result");
        Some(vault.seal(Purpose::EidAttemptSeal, &context, lines.expose().as_bytes()))
    }

    /// Reads what [`Self::seal`] sealed; `None` if it does not open.
    pub fn open(vault: &dyn KeyVault, order: &BankIdOrder) -> Option<Self> {
        let context = context(&order.organization, &order.id, b"result");
        let opened = vault.open(Purpose::EidAttemptSeal, &context, order.result.as_ref()?)?;
        let text = std::str::from_utf8(opened.expose()).ok()?;
        let mut lines = text.splitn(5, '\n');
        let mut line = || lines.next();
        Some(Self {
            person: NationalId::from_canonical(line()?).ok()?,
            family_name: line()?.to_owned(),
            app_address: line()?.parse().ok(),
            risk: Risk::parse(line()?),
            evidence: Secret::new(line()?.as_bytes().to_vec()),
        })
    }
}

/// What a sealed value is bound to: organization, table, row, column.
fn context<'a>(
    organization: &'a OrganizationId,
    id: &'a BankIdLoginId,
    column: &'static [u8],
) -> [&'a [u8]; 4] {
    [organization.as_str().as_bytes(), b"bankid_order", id.as_str().as_bytes(), column]
}

/// The code that a person is shown when an order fails: the same wherever and however often it is asked for.
pub fn reference(vault: &dyn KeyVault, id: &BankIdLoginId) -> ReferenceCode {
    let digest = vault.digest(Purpose::EidAttemptToken, &[b"reference", id.as_str().as_bytes()]);
    let mut random = [0; ReferenceCode::LENGTH];
    random.copy_from_slice(&digest[..ReferenceCode::LENGTH]);
    ReferenceCode::new(random)
}

/// An order as those see it who watch.
pub struct Shown {
    /// How far it is.
    pub state: OrderState,
    /// BankID's last hint.
    pub hint: Option<HintCode>,
    /// On which device BankID is.
    pub device: Device,
    /// What the guardian is told of it.
    pub situation: Situation,
    /// Second 0 of the QR code.
    pub started: Timestamp,
    /// Dead after this.
    pub expires: Timestamp,
    /// For links and QR code, while they are of use.
    secrets: Option<OrderSecrets>,
    bankid: Option<Arc<dyn BankId>>,
}

/// What a guardian should see.
pub struct View {
    /// The links or the QR code, while BankID is to be started.
    pub start: Option<ViewStart>,
    /// What to say.
    pub message: Message,
}

/// How BankID is started.
pub enum ViewStart {
    /// By a link on the same device.
    Links {
        /// For phones and tablets.
        mobile: Secret<String>,
        /// For computers.
        desktop: Secret<String>,
    },
    /// By the QR code of this second.
    QrText(Secret<String>),
}

impl Shown {
    /// What is shown of an order.
    pub fn of(order: &BankIdOrder, vault: &dyn KeyVault, bankids: &BankIds) -> Self {
        Self {
            state: order.state,
            hint: order.hint.clone(),
            device: order.device,
            situation: situation(order),
            started: order.started,
            expires: order.expires,
            secrets: OrderSecrets::open(vault, order),
            bankid: bankids.get(&order.organization).map(Arc::clone),
        }
    }

    /// What a guardian should see at a time.
    pub fn view(&self, now: Timestamp) -> View {
        View { start: self.start(now), message: self.situation.message() }
    }

    /// Links and QR code are of use only until the app has the order.
    fn start(&self, now: Timestamp) -> Option<ViewStart> {
        let waits = self.hint.as_ref().is_none_or(|hint| hint.as_str() == HintCode::OUTSTANDING);
        if self.state != OrderState::Pending || !waits {
            return None;
        }
        let order = &self.secrets.as_ref()?.order;
        Some(match self.device {
            Device::Same => {
                let token = order.autostart_token.expose();
                // `redirect=null`: the address that BankID was given with the order counts.
                let mobile = format!("https://app.bankid.com/?autostarttoken={token}&redirect=null");
                let desktop = format!("bankid:///?autostarttoken={token}&redirect=null");
                ViewStart::Links { mobile: Secret::new(mobile), desktop: Secret::new(desktop) }
            }
            Device::Other => {
                let second = now.since(self.started).as_secs();
                ViewStart::QrText(self.bankid.as_ref()?.qr_text(order, second))
            }
        })
    }
}

/// What a guardian is told of an order. Before BankID was asked for the first time it waits for the app; one that ran out of
/// our time is told as one that ran out of BankID's.
pub fn situation(order: &BankIdOrder) -> Situation {
    let instead = if order.state == OrderState::Pending {
        Some(HintCode::new(HintCode::OUTSTANDING))
    } else if order.fault == Some(BankIdFault::OrderExpired) {
        Some(HintCode::new(HintCode::EXPIRED))
    } else {
        None
    };
    let hint = order.hint.as_ref().or(instead.as_ref());
    Situation::of(order.state, hint, order.device, is_phone(&order.user_agent))
}

/// Whether a browser says that it is on a phone or tablet: decides between two texts, nothing else.
pub fn is_phone(user_agent: &str) -> bool {
    ["Mobile", "Android", "iPhone", "iPad"].iter().any(|word| user_agent.contains(word))
}

//! One try of one message: to whom as of now, with which words, and with a token of its own if it carries a link.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::identifier::{Email, Mobile};
use crate::domain::login_password::AccountState;
use crate::domain::message::{DeliveryFault, Template};
use crate::domain::message_text::{self, Values};
use crate::domain::organization::{Correspondence, Organization};
use crate::domain::password_reset::EmailOnFile;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::flows::activation_links;
use crate::flows::one_time_token::TokenKind;
use crate::flows::password_reset::address_parts;
use crate::ports::error::PortError;
use crate::ports::key_vault::Purpose;
use crate::ports::messenger::{Mail, SendError, TextMessage};
use crate::ports::store::{LeasedMessage, MessageBudget, NewResetToken, Recipient};

use super::Outbox;

/// What became of a try.
pub(super) struct Tried {
    /// Why the message was not taken, if it was not.
    pub(super) fault: Option<DeliveryFault>,
    /// The digest of the token in its link, if it is certain that nobody has it.
    pub(super) withdraw: Option<[u8; 32]>,
    /// When there is room for it again, if a cap kept it back.
    pub(super) not_before: Option<Timestamp>,
}

impl Tried {
    pub(super) const fn failed(fault: DeliveryFault) -> Self {
        Self { fault: Some(fault), withdraw: None, not_before: None }
    }
}

/// A link.
struct Link {
    url: Secret<String>,
    /// The digest of its token, if nobody else has it: it ends with a message that was not sent.
    withdraw: Option<[u8; 32]>,
    /// Until when it works, where the message says so.
    until: Option<Timestamp>,
}

impl Outbox {
    /// Sends a message to the address that is on file now.
    pub(super) async fn send(&self, message: &LeasedMessage) -> Result<Tried, PortError> {
        let Some(organization) = self.organizations.get(&message.organization) else {
            return Ok(Tried::failed(DeliveryFault::NotConfigured));
        };
        let Some(recipient) = self.store.recipient(&message.guardian, message.portal).await? else {
            return Ok(Tried::failed(DeliveryFault::AccountChanged));
        };
        match message.channel {
            crate::domain::message::Channel::Email => self.send_mail(message, &organization, recipient).await,
            crate::domain::message::Channel::Sms => self.send_text(message, &organization, recipient).await,
        }
    }

    async fn send_mail(
        &self,
        message: &LeasedMessage,
        organization: &Organization,
        recipient: Recipient,
    ) -> Result<Tried, PortError> {
        let (Some(sender), Some(correspondence)) = (&self.mail, &organization.correspondence) else {
            return Ok(Tried::failed(DeliveryFault::NotConfigured));
        };
        let EmailOnFile::Usable(to) = &recipient.email else {
            return Ok(Tried::failed(DeliveryFault::NoAddress));
        };
        let link = match message.template {
            Template::ResetLink => {
                // What is sent must work: who was locked or lost the password since gets no link.
                if recipient.state != AccountState::Active || !recipient.has_password {
                    return Ok(Tried::failed(DeliveryFault::AccountChanged));
                }
                let link = self.new_link(message, organization, correspondence, &recipient, to).await?;
                if link.is_none() {
                    return Ok(Tried::failed(DeliveryFault::NotConfigured));
                }
                link
            }
            Template::ActivationLink | Template::StaffInvitation => {
                match self.activation_link(message, correspondence).await? {
                    Ok(link) => Some(link),
                    Err(fault) => return Ok(Tried::failed(fault)),
                }
            }
            Template::NoPassword
            | Template::ContactSchool
            | Template::WrongPortal
            | Template::SeveralAccounts
            | Template::PasswordChanged
            | Template::FailedLogins
            | Template::PasswordClosed => None,
        };
        let locale = message.locale.unwrap_or(recipient.locale);
        let url = link.as_ref().map(|link| link.url.expose().as_str());
        let when = utc(link.as_ref().and_then(|link| link.until).unwrap_or(message.created));
        let values = values(message, organization, correspondence, url, &when);
        let text = message_text::mail(message.template, locale, &values);
        let mail = Mail {
            id: message.id.clone(),
            from_name: correspondence.from_name.clone(),
            from_address: correspondence.from_address.clone(),
            to: to.clone(),
            language: locale.as_str(),
            subject: text.subject,
            plain: text.plain,
            html: text.html,
            at: message.created,
        };
        Ok(match sender.send(&mail).await {
            Ok(()) => Tried { fault: None, withdraw: None, not_before: None },
            Err(error) => {
                log(message, &error);
                // After the content was handed over nobody knows: the mail may arrive, and then its link must work.
                let unsent = error.fault != DeliveryFault::BrokenOff;
                let withdraw = link.filter(|_| unsent).and_then(|link| link.withdraw);
                Tried { fault: Some(error.fault), withdraw, not_before: None }
            }
        })
    }

    /// A link with a token of its own, whose digest is kept before anybody can use it; `None` where links lead nowhere any
    /// more.
    async fn new_link(
        &self,
        message: &LeasedMessage,
        organization: &Organization,
        correspondence: &Correspondence,
        recipient: &Recipient,
        to: &Email,
    ) -> Result<Option<Link>, PortError> {
        let Some((pages, policy)) =
            correspondence.pages.get(&message.portal).zip(organization.reset.as_ref())
        else {
            return Ok(None);
        };
        let token = TokenKind::RESET.new_token(self.entropy.as_ref());
        let digest = self.vault.digest(Purpose::ResetToken, &[token.expose().as_bytes()]);
        let now = self.clock.now();
        let kept = NewResetToken {
            digest,
            message: message.id.clone(),
            organization: message.organization.clone(),
            portal: message.portal,
            guardian: message.guardian.clone(),
            credential_epoch: recipient.credential_epoch,
            address_digest: self.vault.digest(Purpose::MessageAddress, &address_parts(&organization.id, to)),
            made: now,
            expires: now.plus(policy.link_lifetime),
        };
        self.store.add_reset_token(&kept).await?;
        let url = Secret::new(pages.reset.link(token.expose()));
        Ok(Some(Link { url, withdraw: Some(digest), until: None }))
    }

    /// The link to choose a first password with. Its token is the same at each try: a mail that was sent twice has one link.
    async fn activation_link(
        &self,
        message: &LeasedMessage,
        correspondence: &Correspondence,
    ) -> Result<Result<Link, DeliveryFault>, PortError> {
        let page = correspondence.pages.get(&message.portal).and_then(|pages| pages.activation.as_ref());
        let (Some(page), Some(activation)) = (page, &message.activation) else {
            return Ok(Err(DeliveryFault::NotConfigured));
        };
        let vault = self.vault.as_ref();
        let token = activation_links::token(vault, activation);
        let digest = activation_links::digest(vault, &token);
        // What is sent must work: what was used, replaced or revoked since is sent to nobody.
        let Some(expires) = self.store.link_activation(activation, &digest, self.clock.now()).await? else {
            return Ok(Err(DeliveryFault::AccountChanged));
        };
        Ok(Ok(Link { url: Secret::new(page.link(token.expose())), withdraw: None, until: Some(expires) }))
    }

    async fn send_text(
        &self,
        message: &LeasedMessage,
        organization: &Organization,
        recipient: Recipient,
    ) -> Result<Tried, PortError> {
        let (Some((sender, _)), Some(correspondence)) = (&self.text, &organization.correspondence) else {
            return Ok(Tried::failed(DeliveryFault::NotConfigured));
        };
        let Some(to) = recipient.mobile else {
            return Ok(Tried::failed(DeliveryFault::NoAddress));
        };
        let link = match message.template {
            Template::ActivationLink | Template::StaffInvitation => {
                match self.activation_link(message, correspondence).await? {
                    Ok(link) => Some(link),
                    Err(fault) => return Ok(Tried::failed(fault)),
                }
            }
            Template::ResetLink
            | Template::NoPassword
            | Template::ContactSchool
            | Template::WrongPortal
            | Template::SeveralAccounts
            | Template::PasswordChanged
            | Template::FailedLogins
            | Template::PasswordClosed => None,
        };
        let locale = message.locale.unwrap_or(recipient.locale);
        let url = link.as_ref().map(|link| link.url.expose().as_str());
        let when = utc(link.as_ref().and_then(|link| link.until).unwrap_or(message.created));
        let values = values(message, organization, correspondence, url, &when);
        let Some(text) = message_text::text_message(message.template, locale, &values) else {
            return Ok(Tried::failed(DeliveryFault::MessageRefused));
        };
        if let Some(not_before) = self.store.take_budgets(&self.budgets(message, &to)).await? {
            return Ok(Tried {
                fault: Some(DeliveryFault::Capped),
                withdraw: None,
                not_before: Some(not_before),
            });
        }
        Ok(match sender.send(&TextMessage { to, text }).await {
            Ok(()) => Tried { fault: None, withdraw: None, not_before: None },
            Err(error) => {
                log(message, &error);
                Tried::failed(error.fault)
            }
        })
    }

    fn budgets(&self, message: &LeasedMessage, to: &Mobile) -> Vec<MessageBudget> {
        let Some((_, quotas)) = &self.text else { return Vec::new() };
        let organization = message.organization.as_str();
        let digest = self.vault.digest(Purpose::MessageAddress, &[to.as_str().as_bytes()]);
        let number = URL_SAFE_NO_PAD.encode(&digest[..16]);
        let at = self.clock.now();
        [(format!("sms:{organization}"), quotas.organization), (format!("sms-to:{number}"), quotas.recipient)]
            .into_iter()
            .map(|(subject, quota)| MessageBudget { subject, burst: quota.burst, refill: quota.refill, at })
            .collect()
    }
}

fn values<'a>(
    message: &'a LeasedMessage,
    organization: &'a Organization,
    correspondence: &'a Correspondence,
    link: Option<&'a str>,
    when: &'a str,
) -> Values<'a> {
    let home = |portal| correspondence.pages.get(&portal).map(|pages| pages.home.as_str());
    Values {
        organization: &organization.display_name,
        portal: message.portal,
        link,
        home: home(message.portal).unwrap_or_default(),
        other_home: message.portal.sibling().and_then(home),
        lifetime: organization.reset.as_ref().map(|reset| reset.link_lifetime).unwrap_or_default(),
        reference: message.reference.as_ref().map(crate::domain::reference_code::ReferenceCode::as_str),
        contact: &correspondence.contact,
        at_text: Some(when),
    }
}

/// A time for people anywhere: to the minute, with its zone.
pub(in crate::flows) fn utc(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.as_seconds()).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Neither the address nor a reply's text, which may quote it.
fn log(message: &LeasedMessage, error: &SendError) {
    tracing::warn!(
        message = message.id.as_str(),
        channel = message.channel.as_str(),
        fault = error.fault.as_str(),
        detail = error.detail,
        "a message was not taken"
    );
}

//! Notices to guardians about what happened to their passwords.

use crate::domain::audit::Event;
use crate::domain::id::{GuardianId, MessageId};
use crate::domain::message::{Channel, NewMessage, Template};
use crate::domain::organization::{Organization, Portal};
use crate::ports::entropy::{Entropy, random_bytes};

/// The notices of a password that changed, one for each channel; none where the organization sends no mail. `event` is
/// the fact: it has one notice a channel, however often it is written.
pub fn password_changed(
    entropy: &dyn Entropy,
    organization: &Organization,
    portal: Portal,
    guardian: &GuardianId,
    event: &Event,
    channels: &[Channel],
) -> Vec<NewMessage> {
    if organization.correspondence.is_none() {
        return Vec::new();
    }
    let notice = |channel: &Channel| NewMessage {
        id: MessageId::new(event.at, random_bytes(entropy)),
        organization: organization.id.clone(),
        portal,
        guardian: Some(guardian.clone()),
        channel: *channel,
        template: Some(Template::PasswordChanged),
        locale: None,
        reference: None,
        idempotency_key: format!("password-changed:{}:{}", event.id, channel.as_str()),
        at: event.at,
    };
    channels.iter().map(notice).collect()
}

//! The sheet that staff hand over, filled for a guardian.

use crate::domain::activation_code::ActivationCode;
use crate::domain::identifier::LoginName;
use crate::domain::message_text::{self, SheetValues};
use crate::domain::organization::{LinkPage, Organization, Portal};
use crate::domain::passphrase::Locale;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

use super::outbox::utc;

/// What is handed over.
pub struct Sheet {
    /// The code for people.
    pub code: Secret<String>,
    /// What the QR picture holds, if the portal has a page for it.
    pub url: Option<Secret<String>>,
    /// The text to print.
    pub text: Secret<String>,
}

/// The portal's page that takes a first password.
pub(super) fn activation_page(organization: &Organization, portal: Portal) -> Option<&LinkPage> {
    organization.correspondence.as_ref()?.pages.get(&portal)?.activation.as_ref()
}

/// Fills a sheet.
pub(super) fn sheet(
    organization: &Organization,
    portal: Portal,
    user_name: &LoginName,
    code: &ActivationCode,
    expires: Timestamp,
    locale: Locale,
) -> Sheet {
    let shown = code.shown();
    let page = activation_page(organization, portal);
    let pages = organization.correspondence.as_ref().and_then(|it| it.pages.get(&portal));
    let home = pages.map(|pages| pages.home.as_str()).unwrap_or_default();
    let text = message_text::sheet(
        locale,
        &SheetValues {
            organization: &organization.display_name,
            portal,
            user_name: user_name.as_str(),
            code: shown.expose(),
            page: page.and_then(LinkPage::address).unwrap_or(home),
            until: &utc(expires),
            contact: organization.correspondence.as_ref().map(|it| it.contact.as_str()).unwrap_or_default(),
        },
    );
    let url = page.map(|page| Secret::new(page.link(shown.expose())));
    Sheet { code: shown, url, text }
}

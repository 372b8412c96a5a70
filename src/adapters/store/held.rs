//! What is handed out of each table: a list, so that a new column is left out on purpose or not at all.

use super::statement::Statement;

/// How a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Time,
    Flag,
    /// Sealed, with the key in `key_id`.
    NationalId,
}

/// Rows of one kind: `$1` is the account, `$2` its organization, `$3` how many.
pub(super) struct Section {
    pub name: &'static str,
    pub statement: Statement,
    pub columns: &'static [(&'static str, Form)],
    /// Rows at most, if not [`MOST_ROWS`].
    pub most: Option<i64>,
}

/// Rows of one kind that are handed out at once.
pub(super) const MOST_ROWS: i64 = 2000;

/// The same for events.
const MOST_EVENTS: i64 = 10_000;

/// Everything but secrets (hashes, digests, sealed keys), what belongs to others, and what lives for minutes. Each text
/// names the organization, so that all have the same parameters; an id is one organization's anyway.
pub(super) const SECTIONS: [Section; 16] = [
    Section {
        name: "accounts",
        statement: Statement::new(
            "export_account",
            "SELECT source_key, given_name, family_name, locale, state, email_delivered, email_canonical, mobile_delivered, \
                 mobile_canonical, merged_into, created_ms, updated_ms \
             FROM guardian WHERE id = $1 AND organization = $2 LIMIT $3",
        ),
        columns: &[
            ("source_key", Form::Text),
            ("given_name", Form::Text),
            ("family_name", Form::Text),
            ("locale", Form::Text),
            ("state", Form::Text),
            ("email_delivered", Form::Text),
            ("email_canonical", Form::Text),
            ("mobile_delivered", Form::Text),
            ("mobile_canonical", Form::Text),
            ("merged_into", Form::Text),
            ("created_ms", Form::Time),
            ("updated_ms", Form::Time),
        ],
        most: None,
    },
    Section {
        name: "national_ids",
        statement: Statement::new(
            "export_national_ids",
            "SELECT scheme, sealed, key_id, source, added_ms, retired_ms FROM guardian_identifier \
             WHERE guardian_id = $1 AND organization = $2 ORDER BY added_ms DESC LIMIT $3",
        ),
        columns: &[
            ("scheme", Form::Text),
            ("sealed", Form::NationalId),
            ("source", Form::Text),
            ("added_ms", Form::Time),
            ("retired_ms", Form::Time),
        ],
        most: None,
    },
    Section {
        name: "proposed_national_ids",
        statement: Statement::new(
            "export_proposals",
            "SELECT scheme, sealed, key_id, at_ms, settled_ms FROM number_proposal \
             WHERE guardian_id = $1 AND organization = $2 ORDER BY at_ms DESC LIMIT $3",
        ),
        columns: &[
            ("scheme", Form::Text),
            ("sealed", Form::NationalId),
            ("at_ms", Form::Time),
            ("settled_ms", Form::Time),
        ],
        most: None,
    },
    Section {
        name: "login_names",
        statement: Statement::new(
            "export_login_names",
            "SELECT portal, login_name, kind FROM guardian_login \
             WHERE guardian_id = $1 AND organization = $2 ORDER BY portal, login_name LIMIT $3",
        ),
        columns: &[("portal", Form::Text), ("login_name", Form::Text), ("kind", Form::Text)],
        most: None,
    },
    Section {
        name: "child_links",
        statement: Statement::new(
            "export_child_links",
            "SELECT k.child_id, c.given_name, c.family_name, \
                 (SELECT s.name FROM school s WHERE s.id = c.school_id) AS school, \
                 k.source, k.confirmed_by, k.confirmed_ms, k.confirmed_how \
             FROM child_link k JOIN child c ON c.id = k.child_id \
             WHERE k.guardian_id = $1 AND c.organization = $2 ORDER BY k.child_id, k.source LIMIT $3",
        ),
        columns: &[
            ("child_id", Form::Text),
            ("given_name", Form::Text),
            ("family_name", Form::Text),
            ("school", Form::Text),
            ("source", Form::Text),
            ("confirmed_by", Form::Text),
            ("confirmed_ms", Form::Time),
            ("confirmed_how", Form::Text),
        ],
        most: None,
    },
    Section {
        name: "removed_child_links",
        statement: Statement::new(
            "export_removed_child_links",
            "SELECT k.child_id, k.at_ms FROM removed_child_link k JOIN child c ON c.id = k.child_id \
             WHERE k.guardian_id = $1 AND c.organization = $2 ORDER BY k.child_id LIMIT $3",
        ),
        columns: &[("child_id", Form::Text), ("at_ms", Form::Time)],
        most: None,
    },
    Section {
        name: "contracts",
        statement: Statement::new(
            "export_contracts",
            "SELECT k.source, k.confirmed_by, k.confirmed_ms, k.confirmed_how \
             FROM contract k JOIN guardian g ON g.id = k.guardian_id \
             WHERE k.guardian_id = $1 AND g.organization = $2 ORDER BY k.source LIMIT $3",
        ),
        columns: &[
            ("source", Form::Text),
            ("confirmed_by", Form::Text),
            ("confirmed_ms", Form::Time),
            ("confirmed_how", Form::Text),
        ],
        most: None,
    },
    Section {
        name: "removed_contracts",
        statement: Statement::new(
            "export_removed_contracts",
            "SELECT k.at_ms FROM removed_contract k JOIN guardian g ON g.id = k.guardian_id \
             WHERE k.guardian_id = $1 AND g.organization = $2 ORDER BY k.guardian_id LIMIT $3",
        ),
        columns: &[("at_ms", Form::Time)],
        most: None,
    },
    Section {
        name: "passwords",
        statement: Statement::new(
            "export_passwords",
            "SELECT portal, origin, rests_on, must_change, set_ms, expires_ms FROM credential \
             WHERE guardian_id = $1 AND organization = $2 ORDER BY portal LIMIT $3",
        ),
        columns: &[
            ("portal", Form::Text),
            ("origin", Form::Text),
            ("rests_on", Form::Text),
            ("must_change", Form::Flag),
            ("set_ms", Form::Time),
            ("expires_ms", Form::Time),
        ],
        most: None,
    },
    Section {
        name: "issued_credentials",
        statement: Statement::new(
            "export_activations",
            "SELECT portal, delivery, issued_ms, expires_ms, ended_ms, end_reason FROM activation \
             WHERE guardian_id = $1 AND organization = $2 ORDER BY portal, id DESC LIMIT $3",
        ),
        columns: &[
            ("portal", Form::Text),
            ("delivery", Form::Text),
            ("issued_ms", Form::Time),
            ("expires_ms", Form::Time),
            ("ended_ms", Form::Time),
            ("end_reason", Form::Text),
        ],
        most: None,
    },
    Section {
        name: "sessions",
        statement: Statement::new(
            "export_sessions",
            "SELECT id, portal, client, method, authenticated_ms, refreshed_ms, absolute_expires_ms, ended_ms, end_reason, \
                 user_agent \
             FROM session WHERE guardian_id = $1 AND organization = $2 ORDER BY portal DESC, id DESC LIMIT $3",
        ),
        columns: &[
            ("id", Form::Text),
            ("portal", Form::Text),
            ("client", Form::Text),
            ("method", Form::Text),
            ("authenticated_ms", Form::Time),
            ("refreshed_ms", Form::Time),
            ("absolute_expires_ms", Form::Time),
            ("ended_ms", Form::Time),
            ("end_reason", Form::Text),
            ("user_agent", Form::Text),
        ],
        most: None,
    },
    Section {
        name: "reset_links",
        statement: Statement::new(
            "export_reset_links",
            "SELECT portal, made_ms, expires_ms, ended_ms, end_reason FROM reset_token \
             WHERE guardian_id = $1 AND organization = $2 ORDER BY made_ms DESC LIMIT $3",
        ),
        columns: &[
            ("portal", Form::Text),
            ("made_ms", Form::Time),
            ("expires_ms", Form::Time),
            ("ended_ms", Form::Time),
            ("end_reason", Form::Text),
        ],
        most: None,
    },
    Section {
        name: "messages",
        statement: Statement::new(
            "export_messages",
            "SELECT portal, channel, template, state, created_ms, settled_ms FROM message \
             WHERE guardian_id = $1 AND organization = $2 ORDER BY created_ms DESC LIMIT $3",
        ),
        columns: &[
            ("portal", Form::Text),
            ("channel", Form::Text),
            ("template", Form::Text),
            ("state", Form::Text),
            ("created_ms", Form::Time),
            ("settled_ms", Form::Time),
        ],
        most: None,
    },
    Section {
        name: "eid_evidence",
        statement: Statement::new(
            "export_evidence",
            "SELECT session_id, at_ms, expires_ms FROM eid_evidence \
             WHERE guardian_id = $1 AND organization = $2 ORDER BY at_ms DESC LIMIT $3",
        ),
        columns: &[("session_id", Form::Text), ("at_ms", Form::Time), ("expires_ms", Form::Time)],
        most: None,
    },
    Section {
        name: "merges",
        statement: Statement::new(
            "export_merges",
            "SELECT id, absorbed_id, at_ms, undo_until_ms, undone_ms FROM merge \
             WHERE kept_id = $1 AND organization = $2 ORDER BY at_ms LIMIT $3",
        ),
        columns: &[
            ("id", Form::Text),
            ("absorbed_id", Form::Text),
            ("at_ms", Form::Time),
            ("undo_until_ms", Form::Time),
            ("undone_ms", Form::Time),
        ],
        most: None,
    },
    // The last one, and the one that is cut first where the document grows too long.
    Section {
        name: "audit_events",
        statement: Statement::new(
            "export_audit_events",
            "SELECT at_ms, kind, cause, detail, portal, session_id, child_id, reference_code, caller, address, user_agent, \
                 staff_id \
             FROM audit_event WHERE guardian_id = $1 AND organization = $2 ORDER BY at_ms DESC LIMIT $3",
        ),
        columns: &[
            ("at_ms", Form::Time),
            ("kind", Form::Text),
            ("cause", Form::Text),
            ("detail", Form::Text),
            ("portal", Form::Text),
            ("session_id", Form::Text),
            ("child_id", Form::Text),
            ("reference_code", Form::Text),
            ("caller", Form::Text),
            ("address", Form::Text),
            ("user_agent", Form::Text),
            ("staff_id", Form::Text),
        ],
        most: Some(MOST_EVENTS),
    },
];

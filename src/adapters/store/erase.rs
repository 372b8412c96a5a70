//! What goes and what is blanked when an account is erased.

use sqlx::any::AnyArguments;

use crate::domain::id::GuardianId;
use crate::ports::error::PortError;
use crate::ports::store::Act;

use super::bind::bind;
use super::statement::Statement;
use super::unit::Unit;

/// Rows of the account alone: they go. `$1` is the account.
const DROPPED: [Statement; 13] = [
    Statement::new("erase_identifiers", "DELETE FROM guardian_identifier WHERE guardian_id = $1"),
    Statement::new("erase_proposals", "DELETE FROM number_proposal WHERE guardian_id = $1"),
    Statement::new("erase_login_names", "DELETE FROM guardian_login WHERE guardian_id = $1"),
    Statement::new("erase_child_links", "DELETE FROM child_link WHERE guardian_id = $1"),
    Statement::new("erase_removed_child_links", "DELETE FROM removed_child_link WHERE guardian_id = $1"),
    Statement::new("erase_contracts", "DELETE FROM contract WHERE guardian_id = $1"),
    Statement::new("erase_removed_contract", "DELETE FROM removed_contract WHERE guardian_id = $1"),
    Statement::new("erase_revoked_passwords", "DELETE FROM revoked_password WHERE guardian_id = $1"),
    Statement::new("erase_passwords", "DELETE FROM credential WHERE guardian_id = $1"),
    Statement::new("erase_activations", "DELETE FROM activation WHERE guardian_id = $1"),
    Statement::new("erase_change_tickets", "DELETE FROM change_ticket WHERE guardian_id = $1"),
    Statement::new("erase_reset_tokens", "DELETE FROM reset_token WHERE guardian_id = $1"),
    Statement::new("erase_name_parts", "DELETE FROM name_part WHERE person_id = $1"),
];

const EVIDENCE: Statement =
    Statement::new("erase_evidence", "DELETE FROM eid_evidence WHERE organization = $1 AND guardian_id = $2");

/// They say what was moved: names to log in with, hashes, parts of names. Without them the merge cannot be undone.
const JOURNALS_OF_KEPT: Statement =
    Statement::new("erase_merges_of_kept", "DELETE FROM merge WHERE kept_id = $1 AND kind = 'guardian'");
const JOURNALS_OF_ABSORBED: Statement = Statement::new(
    "erase_merges_of_absorbed",
    "DELETE FROM merge WHERE absorbed_id = $1 AND kind = 'guardian'",
);

/// Sessions stay for a while, without what they say of the person's devices: a replica may still ask for them.
const SESSIONS: Statement =
    Statement::new("blank_sessions", "UPDATE session SET user_agent = '' WHERE guardian_id = $1");

/// What waits is not sent: there is no address any more.
const WAITING_MESSAGES: Statement = Statement::new(
    "void_messages_of_erased",
    "UPDATE message SET state = 'void', settled_ms = $2 WHERE guardian_id = $1 AND state = 'queued'",
);
const MESSAGES: Statement = Statement::new(
    "blank_messages",
    "UPDATE message SET guardian_id = NULL, reference_code = NULL WHERE guardian_id = $1",
);

/// No source has a key with a space in it, so none finds the account again.
const ACCOUNT: Statement = Statement::new(
    "blank_account",
    "UPDATE guardian SET source_key = 'erased ' || id, given_name = '', family_name = '', email_delivered = NULL, \
         email_canonical = NULL, mobile_delivered = NULL, mobile_canonical = NULL, merged_into = NULL, state = 'erased', \
         updated_ms = $2 \
     WHERE id = $1",
);

/// Erases one account. Its sessions have ended.
pub(super) async fn erase(unit: &mut Unit, act: &Act, account: &GuardianId) -> Result<(), PortError> {
    for statement in &DROPPED {
        unit.execute(statement, bind![account]).await?;
    }
    let others: [(&Statement, AnyArguments); 7] = [
        (&EVIDENCE, bind![act.organization, account]),
        (&JOURNALS_OF_KEPT, bind![account]),
        (&JOURNALS_OF_ABSORBED, bind![account]),
        (&SESSIONS, bind![account]),
        (&WAITING_MESSAGES, bind![account, act.at]),
        (&MESSAGES, bind![account]),
        (&ACCOUNT, bind![account, act.at]),
    ];
    for (statement, arguments) in others {
        unit.execute(statement, arguments).await?;
    }
    Ok(())
}

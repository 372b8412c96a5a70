//! Staff members at work, as flows hand their acts to the store.

use guardian_auth::domain::audit::{Event, Fact};
use guardian_auth::domain::id::{ChildId, GuardianId, SchoolId};
use guardian_auth::domain::name_search::NameWords;
use guardian_auth::domain::organization::OrganizationId;
use guardian_auth::domain::staff::Scope;
use guardian_auth::ports::store::{
    Act, DirectoryStore, GuardianQuery, GuardianSearchStore, RequestKey, SearchPlace, Viewer,
};

use super::world::{World, at, event, key, organization, random};

/// A staff member of `sunnanvik`.
#[derive(Clone)]
pub struct Member {
    pub id: GuardianId,
    pub scope: Scope,
    pub organization: OrganizationId,
}

/// Hires a member for these schools, by their keys; none: for the whole organization.
pub async fn member(world: &World, schools: &[&str]) -> Member {
    let sunnanvik = organization("sunnanvik");
    let id = GuardianId::new(at(0), random());
    let scope = if schools.is_empty() { "organization" } else { "schools" };
    for statement in [
        format!(
            "INSERT INTO guardian (id, organization, source_key, given_name, family_name, locale, state, \
             credential_epoch, created_ms, updated_ms, kind) \
             VALUES ('{id}', 'sunnanvik', 'staff {id}', 'Anna', 'Ek', 'sv', 'active', 0, 0, 0, 'staff')"
        ),
        format!(
            "INSERT INTO staff_member (id, organization, role, scope, state, revision, invited_ms) \
             VALUES ('{id}', 'sunnanvik', 'school_administrator', '{scope}', 'active', 1, 0)"
        ),
    ] {
        world.change(&statement).await;
    }
    let keys: Vec<_> = schools.iter().map(|school| key(school)).collect();
    let known = world.store.known_rows(&sunnanvik, &keys).await.expect("known rows").schools;
    let schools: Vec<SchoolId> = keys.iter().map(|key| known[key].clone()).collect();
    for school in &schools {
        let row = format!("INSERT INTO staff_school (staff_id, school_id) VALUES ('{id}', '{school}')");
        world.change(&row).await;
    }
    let scope = if schools.is_empty() { Scope::Organization } else { Scope::Schools(schools) };
    Member { id, scope, organization: sunnanvik }
}

impl Member {
    pub fn viewer(&self) -> Viewer {
        Viewer { organization: self.organization.clone(), staff: self.id.clone(), scope: self.scope.clone() }
    }

    /// An act of minute 120 with one event.
    pub fn act(&self, fact: Fact, guardian: &GuardianId) -> Act {
        Act {
            organization: self.organization.clone(),
            staff: self.id.clone(),
            revision: 1,
            request: None,
            at: at(120),
            events: vec![Event {
                staff: Some(self.id.clone()),
                reference: None,
                ..event(fact, Some(guardian))
            }],
        }
    }

    /// The same with an id of the request.
    pub fn repeatable(&self, fact: Fact, guardian: &GuardianId, digest: u8) -> Act {
        let id = "0191d9a0-5b1c-7cc2-9a77-8a5c6f2f9b10".to_owned();
        Act { request: Some(RequestKey { id, digest: [digest; 32] }), ..self.act(fact, guardian) }
    }

    /// The guardians on the first page.
    pub async fn find(&self, world: &World, query: GuardianQuery) -> Vec<GuardianId> {
        let (viewer, start) = (self.viewer(), SearchPlace::default());
        let found = world.store.search_guardians(&viewer, &query, &start, 50).await.expect("an answer");
        found.rows.into_iter().map(|row| row.id).collect()
    }
}

pub fn words(text: &str) -> NameWords {
    NameWords::parse(text).expect("words")
}

pub fn by_name(text: &str) -> GuardianQuery {
    GuardianQuery::Name(words(text))
}

/// The id of a child by its key.
pub async fn child_id(world: &World, name: &str) -> ChildId {
    let known = world.store.known_rows(&organization("sunnanvik"), &[key(name)]).await.expect("known rows");
    known.children[&key(name)].clone()
}

/// The id of a guardian by its key.
pub async fn guardian_id(world: &World, name: &str) -> GuardianId {
    let known = world.store.known_rows(&organization("sunnanvik"), &[key(name)]).await.expect("known rows");
    known.guardians[&key(name)].clone()
}

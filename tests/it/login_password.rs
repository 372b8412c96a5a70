//! Logging in with user name or debtor number and password, through the wire, on both sets of parts.

use guardian_auth::proto::Portal;
use tonic::Code;

use crate::support::service::{
    Attempt, KOMMUN, Parts, Service, guardian, hash, metadata, reason, school_and_child,
};

const PASSWORD: &str = "lingon-cykel-fyrtorn-vante";

async fn service_with_guardian(parts: Parts) -> Service {
    let service = Service::start(parts).await;
    let mut rows = school_and_child();
    rows.push(guardian("g-1", "alma", Some(&hash(PASSWORD).await)));
    service.import(KOMMUN, &rows).await;
    service
}

#[tokio::test]
async fn a_guardian_logs_in_and_the_portal_verifies_refreshes_and_ends_the_session() {
    for parts in Parts::ALL {
        let service = service_with_guardian(parts).await;
        let portal = service.portal(KOMMUN).await;
        let tokens = portal.session(Attempt::new("alma", PASSWORD)).await;
        let verified = portal.verify(&tokens.access_token, KOMMUN, Portal::Parent).await.unwrap();
        assert_eq!(verified.guardian_id, tokens.guardian_id);
        assert_eq!(verified.authentication_methods, ["pwd"]);

        let refreshed = portal.refresh(&tokens.refresh_token).await.unwrap();
        assert_ne!(refreshed.refresh_token, tokens.refresh_token);
        assert_eq!(refreshed.session_id, tokens.session_id);

        let end = guardian_auth::proto::EndSessionRequest {
            token: Some(guardian_auth::proto::end_session_request::Token::RefreshToken(
                refreshed.refresh_token.clone(),
            )),
            session_id: String::new(),
        };
        assert_eq!(portal.session.clone().end_session(end).await.unwrap().into_inner().ended_count, 1);
        let refused = portal.verify(&refreshed.access_token, KOMMUN, Portal::Parent).await.unwrap_err();
        assert_eq!(reason(&refused), "SESSION_INVALID", "{parts:?}");
        let refused = portal.refresh(&refreshed.refresh_token).await.unwrap_err();
        assert_eq!(reason(&refused), "SESSION_INVALID", "{parts:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_gets_the_public_answer_with_a_reference_code() {
    for parts in Parts::ALL {
        let service = service_with_guardian(parts).await;
        let portal = service.portal(KOMMUN).await;
        for name in ["alma", "nobody"] {
            let status = portal.log_in(Attempt::new(name, "not the password")).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated);
            assert_eq!(reason(&status), "INVALID_CREDENTIALS");
            assert_eq!(metadata(&status, "reference_code").unwrap().len(), 8);
        }
    }
}

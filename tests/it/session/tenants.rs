//! Tokens of one organization, portal or guardian in the hands of another.

use guardian_auth::proto::end_session_request::Token;
use guardian_auth::proto::{self, Portal};

use super::{PASSWORD, alma, assert_invalid, end, end_all, import_noor, is_valid, list, pair, service};
use crate::change_password::change_with_session;
use crate::support::service::{Attempt, KOMMUN, OPVANG, Parts, reason};

#[tokio::test]
async fn tokens_of_one_organization_are_nothing_to_a_caller_of_another() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let own = service.portal(KOMMUN).await;
        let tokens = alma(&own).await;
        let (access, refresh) = (&tokens.access_token, &tokens.refresh_token);
        for caller in ["voorbeeld-opvang-portal", "voorbeeld-opvang-admin"] {
            let foreign = service.caller(caller).await;
            let status = foreign.verify(access, KOMMUN, Portal::Parent).await.unwrap_err();
            assert_eq!(reason(&status), "CALLER_NOT_ALLOWED");
            assert_invalid(&foreign.verify(access, OPVANG, Portal::Parent).await.unwrap_err());
            assert_invalid(&foreign.refresh(refresh).await.unwrap_err());
            let proofs = [Token::AccessToken(access.clone()), Token::RefreshToken(refresh.clone())];
            for proof in proofs {
                for session in ["", tokens.session_id.as_str()] {
                    assert_invalid(&end(&foreign, proof.clone(), session).await.unwrap_err());
                }
            }
            assert_invalid(&end_all(&foreign, access).await.unwrap_err());
            assert_invalid(&list(&foreign, access, 0, "").await.unwrap_err());
            let changed = change_with_session(&foreign, &tokens, PASSWORD, "mossa-kanel-segel-tratt").await;
            assert_invalid(&changed.unwrap_err());
        }
        assert!(is_valid(&own, access).await, "{parts:?}");
        own.refresh(refresh).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_is_for_its_portal() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        let portal = service.portal(KOMMUN).await;
        let tokens = alma(&portal).await;
        assert_invalid(&portal.verify(&tokens.access_token, KOMMUN, Portal::Staff).await.unwrap_err());
        let status = portal.verify(&tokens.access_token, KOMMUN, Portal::Childminder).await.unwrap_err();
        assert_ne!(status.code(), tonic::Code::Ok);
        assert!(is_valid(&portal, &tokens.access_token).await, "{parts:?}");
    }
}

#[tokio::test]
async fn another_guardians_session_cannot_be_ended_and_is_not_told_of() {
    for parts in Parts::ALL {
        let pair = pair(parts).await;
        let own = alma(&pair.here).await;
        let victim = pair.here.session(Attempt::new("bo", PASSWORD)).await;
        let nobody = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
        for id in [victim.session_id.as_str(), nobody] {
            for proof in
                [Token::AccessToken(own.access_token.clone()), Token::RefreshToken(own.refresh_token.clone())]
            {
                assert_eq!(end(&pair.here, proof, id).await.unwrap(), 0, "{parts:?}");
            }
        }
        assert!(is_valid(&pair.here, &victim.access_token).await);
        assert_eq!(end_all(&pair.here, &own.access_token).await.unwrap(), 1);
        assert!(is_valid(&pair.here, &victim.access_token).await);
        pair.there.refresh(&victim.refresh_token).await.unwrap();
    }
}

#[tokio::test]
async fn page_tokens_are_sealed_for_their_guardian_and_portal() {
    for parts in Parts::ALL {
        let service = service(parts).await;
        import_noor(&service).await;
        let portal = service.portal(KOMMUN).await;
        let mut own = alma(&portal).await;
        for _ in 0..2 {
            own = alma(&portal).await;
        }
        let page = list(&portal, &own.access_token, 1, "").await.unwrap();
        let token = page.next_page_token;
        assert!(!token.is_empty());
        assert!(!token.contains(&page.sessions[0].session_id));

        let other = portal.session(Attempt::new("bo", PASSWORD)).await;
        let dutch = service.portal(OPVANG).await;
        let attempt = Attempt { organization: OPVANG, ..Attempt::new("noor", PASSWORD) };
        let noor = dutch.session(attempt).await;
        let mut forged: Vec<(&crate::support::service::Calls, &proto::SessionTokens, String)> =
            vec![(&portal, &other, token.clone()), (&dutch, &noor, token.clone())];
        for bent in super::rotation::bent(&token) {
            forged.push((&portal, &own, bent));
        }
        for text in ["1", ".", "dev.", "dev.AAAA", ".AAAA", "0", &own.session_id, &"x".repeat(513)] {
            forged.push((&portal, &own, text.to_owned()));
        }
        for (calls, tokens, page_token) in forged {
            let status = list(calls, &tokens.access_token, 1, &page_token).await.unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{parts:?}: {page_token:?}");
            assert_eq!(reason(&status), "INVALID_REQUEST");
        }
        list(&portal, &own.access_token, 1, &token).await.unwrap();
    }
}

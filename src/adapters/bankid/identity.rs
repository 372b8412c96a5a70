//! The relying party's certificate and key, read from PEM or PKCS#12.

use p12_keystore::{CertificateBag, Pkcs12Archive};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::settings::{BankIdSettingsError, Identity};

/// The chain, our end first, and its key. Whether they fit is for TLS to see.
pub(super) fn read(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BankIdSettingsError> {
    match identity {
        Identity::Pem { chain, key } => {
            let chain = CertificateDer::pem_slice_iter(chain)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| wrong(&format!("the chain is no PEM: {error}")))?;
            if chain.is_empty() {
                return Err(wrong("the chain has no certificate"));
            }
            let key = PrivateKeyDer::from_pem_slice(key.expose())
                .map_err(|_| wrong("the key is no unencrypted private key in PEM"))?;
            Ok((chain, key))
        }
        Identity::Pkcs12 { bytes, password } => pkcs12(bytes.expose(), password.expose()),
    }
}

fn pkcs12(
    bytes: &[u8],
    password: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BankIdSettingsError> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, password)
        .map_err(|_| wrong("it is no PKCS#12 file, or its password is another"))?;
    let [key] = archive.keys.as_slice() else {
        return Err(wrong(&format!(
            "the PKCS#12 file has {} private keys, and one is needed",
            archive.keys.len()
        )));
    };
    let own = archive.certs.iter().find(|bag| {
        let id = key.local_key_id.as_ref().map(AsRef::as_ref);
        id.is_some() && bag.local_key_id.as_deref() == id
    });
    let own = match (own, archive.certs.as_slice()) {
        (Some(own), _) | (None, [own]) => own,
        (None, []) => return Err(wrong("the PKCS#12 file has no certificate")),
        (None, _) => return Err(wrong("the PKCS#12 file does not say which certificate is the key's")),
    };
    let key = PrivatePkcs8KeyDer::from(key.key.as_der().to_vec());
    Ok((chain_of(own, &archive.certs), PrivateKeyDer::Pkcs8(key)))
}

/// The certificate and its issuers as far as the file has them, without the root: who trusts it has it.
fn chain_of(own: &CertificateBag, all: &[CertificateBag]) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![own];
    while let Some(last) = chain.last()
        && let Some(issuer) = all.iter().find(|bag| bag.cert.subject() == last.cert.issuer())
        && issuer.cert.subject() != issuer.cert.issuer()
        && chain.len() < all.len()
    {
        chain.push(issuer);
    }
    chain.iter().map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect()
}

fn wrong(why: &str) -> BankIdSettingsError {
    BankIdSettingsError::Identity(why.to_owned())
}

#[cfg(test)]
mod tests {
    use p12_keystore::{
        Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain,
    };
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;
    use crate::domain::secret::Secret;

    struct Files {
        key: KeyPair,
        own: rcgen::Certificate,
        intermediate: CertifiedIssuer<'static, KeyPair>,
        root: CertifiedIssuer<'static, KeyPair>,
    }

    fn named(name: &str, is_ca: bool) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
        params
    }

    fn files() -> Files {
        let new_key = || KeyPair::generate().unwrap();
        let root = CertifiedIssuer::self_signed(named("root", true), new_key()).unwrap();
        let intermediate = CertifiedIssuer::signed_by(named("bank", true), new_key(), &root).unwrap();
        let key = new_key();
        let own = named("relying party", false).signed_by(&key, &intermediate).unwrap();
        Files { key, own, intermediate, root }
    }

    fn pkcs12_file(files: &Files, certificates: &[&[u8]], how: EncryptionAlgorithm) -> Vec<u8> {
        let mut store = KeyStore::new();
        add(&mut store, "one", files, certificates);
        store.writer("qwerty").encryption_algorithm(how).encryption_iterations(10).write().unwrap()
    }

    fn add(store: &mut KeyStore, alias: &str, files: &Files, certificates: &[&[u8]]) {
        let certificates = certificates.iter().map(|der| Certificate::from_der(der).unwrap());
        let key = PrivateKey::from_der(&files.key.serialize_der()).unwrap();
        store
            .add_entry(alias, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(alias, key, certificates)));
    }

    fn read_pkcs12(bytes: Vec<u8>, password: &str) -> Result<Vec<CertificateDer<'static>>, String> {
        let identity =
            Identity::Pkcs12 { bytes: Secret::new(bytes), password: Secret::new(password.to_owned()) };
        read(&identity).map(|(chain, _)| chain).map_err(|error| error.to_string())
    }

    #[test]
    fn pkcs12_of_new_and_old_encryption_is_read() {
        let files = files();
        for how in [
            EncryptionAlgorithm::PbeWithHmacSha256AndAes256,
            EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc,
            // RC2 with 40 bits, whatever the name says: what old tools wrote, and OpenSSL 3 refuses.
            EncryptionAlgorithm::PbeWithShaAnd40BitRc4Cbc,
        ] {
            let leaf_only = pkcs12_file(&files, &[files.own.der()], how);
            assert_eq!(read_pkcs12(leaf_only.clone(), "qwerty").unwrap(), [files.own.der().clone()]);
            let refused = read_pkcs12(leaf_only, "qwertz").unwrap_err();
            assert!(refused.contains("password") && !refused.contains("qwertz"), "{refused}");
        }
    }

    #[test]
    fn the_chain_begins_with_our_end_and_leaves_the_root_out() {
        let files = files();
        let all: [&[u8]; 3] = [files.own.der(), files.intermediate.der(), files.root.der()];
        let file = pkcs12_file(&files, &all, EncryptionAlgorithm::PbeWithHmacSha256AndAes256);
        let chain = read_pkcs12(file, "qwerty").unwrap();
        assert_eq!(chain, [files.own.der().clone(), files.intermediate.der().clone()]);
    }

    #[test]
    fn a_file_without_one_key_is_refused() {
        let files = files();
        let mut store = KeyStore::new();
        let none = store.writer("").write().unwrap();
        add(&mut store, "one", &files, &[files.own.der()]);
        add(&mut store, "two", &files, &[files.own.der()]);
        let two = store.writer("").write().unwrap();
        assert!(read_pkcs12(none, "").unwrap_err().contains("has 0 private keys"));
        assert!(read_pkcs12(two, "").unwrap_err().contains("has 2 private keys"));
        assert!(read_pkcs12(b"no file".to_vec(), "").unwrap_err().contains("no PKCS#12 file"));
    }

    #[test]
    fn pem_needs_a_chain_and_a_key() {
        let files = files();
        let pem = |chain: String, key: String| {
            let identity = Identity::Pem { chain: chain.into_bytes(), key: Secret::new(key.into_bytes()) };
            read(&identity).map(|(chain, _)| chain.len()).map_err(|error| error.to_string())
        };
        let (chain, key) = (files.own.pem() + &files.intermediate.pem(), files.key.serialize_pem());
        assert_eq!(pem(chain.clone(), key.clone()), Ok(2));
        assert!(pem(String::new(), key).unwrap_err().contains("no certificate"));
        assert!(pem(chain, "none".to_owned()).unwrap_err().contains("the key"));
    }
}

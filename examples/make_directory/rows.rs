//! The rows of a directory file as the sample needs them, among them values that are wrong on purpose.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::digest::{SHA256, digest};
use guardian_auth::cli::sample_logins::SAMPLE_LOGINS;
use guardian_auth::domain::password::{HashParameters, PasswordHash};
use serde::Serialize;

#[derive(Serialize)]
pub struct School<'a> {
    pub r#type: &'a str,
    pub key: String,
    pub name: &'a str,
}

#[derive(Serialize)]
pub struct Child<'a> {
    pub r#type: &'a str,
    pub key: String,
    pub given_name: &'a str,
    pub family_name: &'a str,
    pub school: String,
}

#[derive(Serialize)]
pub struct Guardian {
    pub r#type: &'static str,
    pub key: String,
    pub given_name: String,
    pub family_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub debtor_numbers: Vec<DebtorNumber>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user_names: Vec<UserName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub national_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mobile: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub child_links: Vec<ChildLink>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
}

#[derive(Serialize)]
pub struct DebtorNumber {
    pub portal: &'static str,
    pub number: String,
}

#[derive(Serialize)]
pub struct UserName {
    pub portal: &'static str,
    pub name: String,
}

#[derive(Serialize)]
pub struct ChildLink {
    pub child: String,
    pub confirmed: bool,
}

#[derive(Serialize)]
pub struct Contract {
    pub confirmed: bool,
}

#[derive(Serialize)]
pub struct Password {
    pub portal: &'static str,
    pub hash: String,
    pub must_change: bool,
}

/// Gives a guardian the login name and password of its sample login, if it has one.
pub fn take_sample_login(guardian: &mut Guardian, organization: &str) -> anyhow::Result<bool> {
    let sample =
        SAMPLE_LOGINS.iter().find(|login| login.organization == organization && login.key == guardian.key);
    let Some(sample) = sample else {
        return Ok(false);
    };
    let portal = sample.portal.as_str();
    // Names of persons have letters only before the first dot; numbers have digits.
    if sample.login_name.contains('.') && !sample.login_name.contains('/') {
        guardian.debtor_numbers = Vec::new();
        guardian.user_names = user_name(portal, sample.login_name);
    } else {
        guardian.debtor_numbers = debtor(portal, sample.login_name);
    }
    guardian.password = Some(password(portal, sample.password, &guardian.key, sample.must_change)?);
    Ok(true)
}

pub fn line(out: &mut String, row: &impl Serialize) -> anyhow::Result<()> {
    out.push_str(&serde_json::to_string(row)?);
    out.push('\n');
    Ok(())
}

pub fn debtor(portal: &'static str, number: &str) -> Vec<DebtorNumber> {
    vec![DebtorNumber { portal, number: number.to_owned() }]
}

pub fn user_name(portal: &'static str, name: &str) -> Vec<UserName> {
    vec![UserName { portal, name: name.to_owned() }]
}

pub fn foreign_password(hash: &str) -> Password {
    Password { portal: "parent", hash: hash.to_owned(), must_change: false }
}

/// A real hash with the live parameters. The salt comes from the key, so that the file is the same every time.
pub fn password(
    portal: &'static str,
    password: &str,
    key: &str,
    must_change: bool,
) -> anyhow::Result<Password> {
    let parameters = HashParameters::default();
    let params = Params::new(parameters.memory_kib(), parameters.passes(), parameters.lanes(), Some(32))
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let salt = &digest(&SHA256, key.as_bytes()).as_ref()[..16].to_vec();
    let mut output = [0_u8; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut output)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let hash = PasswordHash::new(parameters, salt, &output)?;
    Ok(Password { portal, hash: hash.as_str().to_owned(), must_change })
}

pub fn address(guardian: &Guardian, index: usize, domain: &str) -> String {
    let plain = |name: &str| -> String {
        name.to_lowercase()
            .chars()
            .filter_map(|c| match c {
                'å' | 'ä' => Some('a'),
                'ö' => Some('o'),
                c => c.is_ascii_alphabetic().then_some(c),
            })
            .collect()
    };
    format!("{}.{}{index}@{domain}", plain(&guardian.given_name), plain(&guardian.family_name))
}

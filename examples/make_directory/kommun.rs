//! The Swedish sample: guardians who log in with BankID, and those who cannot.

use guardian_auth::cli::sample_logins::KOMMUN;

use super::numbers::{coordination_number, fiction_mobile, personal_number, wrong_check_digit};
use super::rows::{
    Child, ChildLink, Guardian, School, address, debtor, foreign_password, line, password, take_sample_login,
    user_name,
};

const SWEDISH_GIVEN: [&str; 20] = [
    "Anna", "Erik", "Maria", "Lars", "Elin", "Johan", "Sara", "Anders", "Fatima", "Peter", "Lina", "Amir",
    "Ida", "Mikael", "Hanna", "Björn", "Leyla", "Gustav", "Åsa", "Oskar",
];
const SWEDISH_FAMILY: [&str; 10] =
    ["Lindqvist", "Ström", "Hedlund", "Öberg", "Nyman", "Wallin", "Sandberg", "Åkesson", "Holm", "Rask"];
const SWEDISH_CHILD: [&str; 10] =
    ["Alva", "Noah", "Vera", "Liam", "Maja", "Elias", "Signe", "Adam", "Stella", "Vidar"];
/// 200 guardians of 100 families, then what real files hold besides.
pub fn kommun() -> anyhow::Result<String> {
    let mut out = String::new();
    for (index, name) in
        ["Granskolan", "Sjöbackens förskola", "Kyrkbyskolan", "Ängens förskola", "Norra friskolan"]
            .iter()
            .enumerate()
    {
        line(&mut out, &School { r#type: "school", key: format!("s-{}", index + 1), name })?;
    }
    for index in 0..130 {
        // Families 1 to 30 have two children.
        let family = index % 100;
        let child = Child {
            r#type: "child",
            key: format!("c-{:03}", index + 1),
            given_name: SWEDISH_CHILD[(index * 7 + index / 10) % 10],
            family_name: SWEDISH_FAMILY[family % 10],
            school: format!("s-{}", index % 5 + 1),
        };
        line(&mut out, &child)?;
    }
    for index in 0..200 {
        let mut guardian = swedish(index);
        swedish_login(&mut guardian, index)?;
        swedish_mess(&mut guardian, index)?;
        line(&mut out, &guardian)?;
        out.extend(kommun_bad_row(index).map(|row| format!("{row}\n")));
    }
    Ok(out)
}

/// The ordinary guardian: two carers a family, each with a customer number, all links confirmed.
fn swedish(index: usize) -> Guardian {
    // The 20 with a password live in families of their own.
    let family = if index < 20 { index } else { 20 + (index - 20) * 80 / 180 };
    let (given_name, family_name) =
        (SWEDISH_GIVEN[(index * 3 + index / 20) % 20], SWEDISH_FAMILY[family % 10]);
    let mut child_links = vec![ChildLink { child: format!("c-{:03}", family + 1), confirmed: true }];
    if family < 30 {
        child_links.push(ChildLink { child: format!("c-{:03}", family + 101), confirmed: true });
    }
    let mut guardian = Guardian {
        r#type: "guardian",
        key: format!("g-{:03}", index + 1),
        given_name: given_name.to_owned(),
        family_name: family_name.to_owned(),
        locale: Some("sv"),
        debtor_numbers: debtor("parent", &format!("{}", 10001 + index)),
        user_names: Vec::new(),
        national_id: Some(personal_number(index)),
        email: None,
        mobile: Some(fiction_mobile(index)),
        child_links,
        contract: None,
        password: None,
    };
    guardian.email = Some(address(&guardian, index, "example.se"));
    guardian
}

/// The first 20 have passwords; `SAMPLE_LOGINS` tells their stories.
fn swedish_login(guardian: &mut Guardian, index: usize) -> anyhow::Result<()> {
    if !take_sample_login(guardian, KOMMUN)? {
        return Ok(());
    }
    let names = [
        (0, "Alma", "Sjöberg"),
        (4, "Yusuf", "Demir"),
        (5, "Olle", "Brand"),
        (6, "Siv", "Ek"),
        (7, "Åsa", "Öberg"),
        (8, "Pär", "Öberg"),
        (9, "Irina", "Volkova"),
        (10, "Tove", "Lund"),
        (11, "Jonas", "Falk"),
        (13, "Mehdi", "Karimi"),
        (14, "Ebba", "Strand"),
        (16, "Karin", "Ask"),
        (17, "Leif", "Berg"),
    ];
    if let Some((_, given, family)) = names.iter().find(|(at, _, _)| *at == index) {
        (guardian.given_name, guardian.family_name) = ((*given).to_owned(), (*family).to_owned());
        guardian.email = Some(address(guardian, index, "example.se"));
    }
    match index {
        4 => guardian.national_id = Some("19870101-TF12".into()),
        7 => guardian.debtor_numbers = debtor("parent", "10008"),
        // The second carer of the same child, with the customer number of the first.
        8 => {
            guardian.debtor_numbers = debtor("parent", "10008");
            guardian.child_links = vec![ChildLink { child: "c-008".into(), confirmed: true }];
        }
        9 => guardian.national_id = Some("197302889931".into()),
        11 => guardian.debtor_numbers = debtor("parent", "10012"),
        12 => guardian.locale = Some("en"),
        13 => (guardian.email, guardian.mobile) = (None, None),
        14 => guardian.email = Some("ebba.strand@example.se;".into()),
        15 => {
            guardian.national_id =
                guardian.national_id.as_ref().map(|number| number.replace('-', "\u{2013}"));
        }
        16 => guardian.child_links[1].confirmed = false,
        17 => guardian.national_id = Some("199908072390".into()),
        _ => {}
    }
    Ok(())
}

/// The values of real life, one in each of guardians 21 to 60.
fn swedish_mess(guardian: &mut Guardian, index: usize) -> anyhow::Result<()> {
    let number = guardian.national_id.clone().unwrap_or_default();
    let email = guardian.email.clone().unwrap_or_default();
    match index {
        20 => guardian.email = Some(format!("{email};")),
        21 => guardian.email = Some(format!(" mailto:{email}")),
        22 => guardian.email = Some(format!("<{}> ", email.to_uppercase())),
        23 => guardian.email = Some(format!("{email}; hem.{email}")),
        24 => guardian.email = Some(email.replace('@', " @")),
        25 => guardian.national_id = Some(number.replace('-', "\u{a0}-")),
        26 => guardian.national_id = Some(number.replace('-', "\u{2013}")),
        27 => guardian.national_id = Some(number.replace('-', "")),
        28 => guardian.national_id = Some(number.replace('-', " ")),
        29 => guardian.national_id = Some(format!("'{number}")),
        30 => guardian.national_id = Some("870101-tf26".into()),
        31 => guardian.national_id = Some("19900315-T123".into()),
        32 => guardian.national_id = Some(coordination_number(index)),
        33 => guardian.national_id = Some(wrong_check_digit(&number)),
        34 => guardian.national_id = None,
        35 => (guardian.national_id, guardian.debtor_numbers) = (None, Vec::new()),
        36 => guardian.national_id = Some("20000101R220".into()),
        37 => guardian.national_id = Some("991981000010".into()),
        // Second carers with the customer number of the first.
        39 | 41 => guardian.debtor_numbers = debtor("parent", &format!("{}", 10000 + index)),
        // The number of the guardian before: two accounts for one person, or a slip.
        43 => guardian.national_id = Some(personal_number(index - 1)),
        // A password from the old system, and nobody ever confirmed the link.
        44 => {
            guardian.child_links = vec![ChildLink { child: "c-031".into(), confirmed: false }];
            guardian.password =
                Some(password("parent", "tidvatten-knapp-lärka-prisma", &guardian.key, false)?);
        }
        45 => guardian.child_links.iter_mut().for_each(|link| link.confirmed = false),
        46 => guardian.mobile = guardian.mobile.as_ref().map(|mobile| format!("{mobile};")),
        47 => guardian.mobile = Some("070-174".into()),
        // Hashes that are not taken over: another algorithm, and one that asks for 4 GiB.
        48 => {
            guardian.password =
                Some(foreign_password("$2b$12$invented.invented.invented.invented.invented.invented"));
        }
        49 => {
            let hash =
                "$argon2id$v=19$m=4194304,t=64,p=1$aW52ZW50ZWRzYWx0MTIz$aW52ZW50ZWRpbnZlbnRlZGludmVudGVk";
            guardian.password = Some(foreign_password(hash));
        }
        50 => guardian.debtor_numbers = debtor("parent", "10_051"),
        51 => guardian.user_names = user_name("parent", &email),
        52 => guardian.locale = None,
        53 => guardian.locale = Some("ar"),
        54 => (guardian.email, guardian.mobile) = (Some(String::new()), Some(" ".into())),
        55 => guardian.child_links = Vec::new(),
        // Logs in with BankID only.
        56 => guardian.debtor_numbers = Vec::new(),
        57 => guardian.debtor_numbers.extend(debtor("parent", "K-10058")),
        58 => guardian.given_name = " A\u{30a}sa-Märta ".into(),
        59 => guardian.mobile = Some("+46 (0)70\u{2013}174 06 99".into()),
        _ => {}
    }
    Ok(())
}

/// Rows that are rejected and reported; the one of guardian 150 cannot be read at all.
fn kommun_bad_row(after: usize) -> Option<&'static str> {
    Some(match after {
        70 => {
            r#"{"type":"guardian","key":"g-901","given_name":"Bo","family_name":"Ek","debtor_numbers":[{"portal":"parent","number":"10901"}],"child_links":[{"child":"c-999","confirmed":true}]}"#
        }
        90 => {
            r#"{"type":"guardian","key":"g 902","given_name":"Kim","debtor_numbers":[{"portal":"parents","number":"10902"}]}"#
        }
        110 => {
            r#"{"type":"guardian","key":"g-903","given_name":"Rut","family_name":"Alm","personnummer":"19800101-1371"}"#
        }
        130 => {
            r#"{"type":"guardian","key":"g-904","given_name":"Ali","family_name":"Omar","national_id":198001011371}"#
        }
        150 => r#"{"type":"guardian","key":"g-905","given_name":"Eva","family_na"#,
        170 => {
            r#"{"type":"guardian","key":"g-906","given_name":"Lo","family_name":"Dahl","user_names":[{"portal":"staff","name":"lo.dahl"}]}"#
        }
        190 => r#"{"type":"child","key":"c-907","given_name":"Tage","family_name":"Frid","school":"s-99"}"#,
        _ => return None,
    })
}

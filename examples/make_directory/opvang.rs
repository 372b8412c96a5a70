//! The Dutch sample: parents and childminders who log in with debtor numbers.

use guardian_auth::cli::sample_logins::OPVANG;

use super::numbers::bsn;
use super::rows::{Child, ChildLink, Contract, Guardian, School, address, debtor, line, take_sample_login};

const DUTCH_GIVEN: [&str; 10] =
    ["Sanne", "Daan", "Femke", "Bram", "Lotte", "Joris", "Noor", "Sven", "Mila", "Ruben"];
const DUTCH_FAMILY: [&str; 8] =
    ["de Vries", "Bakker", "van Dijk", "Smit", "Meijer", "Bos", "van den Berg", "Kok"];
const DUTCH_CHILD: [&str; 6] = ["Tess", "Finn", "Julia", "Sem", "Evi", "Luuk"];

/// 40 guardians: 32 parents, 7 childminders and one who is both.
pub fn opvang() -> anyhow::Result<String> {
    let mut out = String::new();
    for (index, name) in ["De Regenboog", "'t Kruimeltje", "BSO De Vlieger"].iter().enumerate() {
        line(&mut out, &School { r#type: "school", key: format!("l-{}", index + 1), name })?;
    }
    for index in 0..24 {
        let child = Child {
            r#type: "child",
            key: format!("k-{:02}", index + 1),
            given_name: DUTCH_CHILD[(index * 5 + index / 6) % 6],
            family_name: DUTCH_FAMILY[index % 8],
            school: format!("l-{}", index % 3 + 1),
        };
        line(&mut out, &child)?;
    }
    for index in 0..40 {
        let mut guardian = dutch(index);
        take_sample_login(&mut guardian, OPVANG)?;
        dutch_mess(&mut guardian, index);
        line(&mut out, &guardian)?;
        if index == 25 {
            out.push_str(r#"{"type":"guardian","key":"o-901","given_name":"Kees","family_name":"Prins","bsn":"123456782","debtor_numbers":[{"portal":"childminder"}]}"#);
            out.push('\n');
        }
        if index == 30 {
            out.push_str(r#"{"type":"ouder","key":"o-902"}"#);
            out.push('\n');
        }
    }
    Ok(out)
}

fn dutch(index: usize) -> Guardian {
    let childminder = matches!(index, 3 | 4 | 34..=38);
    let portal = if childminder { "childminder" } else { "parent" };
    let first = if childminder { 50001 } else { 20001 };
    let mut guardian = Guardian {
        r#type: "guardian",
        key: format!("o-{:03}", index + 1),
        given_name: DUTCH_GIVEN[(index * 3 + index / 10) % 10].to_owned(),
        family_name: DUTCH_FAMILY[index % 8].to_owned(),
        locale: Some("nl"),
        debtor_numbers: debtor(portal, &format!("{}", first + index)),
        user_names: Vec::new(),
        national_id: Some(bsn(index)),
        email: None,
        mobile: index.is_multiple_of(4).then(|| format!("+46 70 174 06 {:02}", 50 + index)),
        child_links: Vec::new(),
        contract: childminder.then_some(Contract { confirmed: true }),
        password: None,
    };
    if !childminder {
        guardian.child_links = vec![ChildLink { child: format!("k-{:02}", index % 24 + 1), confirmed: true }];
    }
    guardian.email = Some(address(&guardian, index, "example.nl"));
    guardian
}

fn dutch_mess(guardian: &mut Guardian, index: usize) {
    let number = guardian.national_id.clone().unwrap_or_default();
    let email = guardian.email.clone().unwrap_or_default();
    match index {
        1 => guardian.national_id = Some("10464554".into()),
        2 => {
            guardian.debtor_numbers.extend(debtor("childminder", "50003"));
            guardian.contract = Some(Contract { confirmed: true });
        }
        // The debtor number of the guardian before.
        5 => {
            (guardian.given_name, guardian.family_name, guardian.debtor_numbers) =
                ("Femke".into(), "Bos".into(), debtor("parent", "20001"));
        }
        7 => guardian.national_id = Some(format!("{}.{}.{}", &number[..4], &number[4..6], &number[6..])),
        8 => guardian.locale = Some("en"),
        10 => guardian.national_id = Some(format!("{} {} {}", &number[..3], &number[3..6], &number[6..])),
        11 => guardian.national_id = Some("012345672".into()),
        12 => guardian.national_id = Some("123456789".into()),
        13 => guardian.national_id = Some("1234567".into()),
        14 => guardian.email = Some(format!("{email} ; ")),
        15 => guardian.email = Some(email.replace("example.nl", "example")),
        16 => guardian.national_id = None,
        17 => guardian.debtor_numbers = debtor("parent", "20017"),
        18 => guardian.national_id = Some(bsn(index - 1)),
        19 => guardian.child_links[0].confirmed = false,
        20 => guardian.debtor_numbers = debtor("parent", "020 021"),
        // A childminder whose contract nobody confirmed.
        34 => guardian.contract = Some(Contract { confirmed: false }),
        35 => guardian.email = Some(format!("<{email}>")),
        _ => {}
    }
}

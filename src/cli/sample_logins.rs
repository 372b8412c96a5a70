//! The logins of the sample directories in `examples/`: what `dev` shows, and what the generator makes hashes of.

use crate::domain::organization::Portal;

/// A guardian of a sample directory that can log in with a password.
#[derive(Clone, Copy, Debug)]
pub struct SampleLogin {
    /// Short name of the organization.
    pub organization: &'static str,
    /// Key of the guardian in the file.
    pub key: &'static str,
    /// The portal of the password.
    pub portal: Portal,
    /// As the guardian types it.
    pub login_name: &'static str,
    /// Public: it protects an invented person.
    pub password: &'static str,
    /// Whether it must be changed at first login.
    pub must_change: bool,
    /// Whom to play with it.
    pub story: &'static str,
}

/// The Swedish sample: `examples/directory-sample-kommun.jsonl`.
pub const KOMMUN: &str = "sample-kommun";
/// The Dutch sample: `examples/directory-voorbeeld-opvang.jsonl`.
pub const OPVANG: &str = "voorbeeld-opvang";

/// An organization administrator of a sample organization, whom `dev` makes.
#[derive(Clone, Copy, Debug)]
pub struct SampleStaff {
    /// Short name of the organization.
    pub organization: &'static str,
    /// Given and family name.
    pub name: (&'static str, &'static str),
    /// The name to log in with at the portal `staff`.
    pub user_name: &'static str,
    /// Public: it protects an invented person.
    pub password: &'static str,
    /// E-mail address.
    pub email: &'static str,
    /// Mobile number.
    pub mobile: &'static str,
}

/// One in each organization.
pub const SAMPLE_STAFF: [SampleStaff; 2] = [
    SampleStaff {
        organization: KOMMUN,
        name: ("Astrid", "Norling"),
        user_name: "ADMIN",
        password: "almanacka brygga kompass tofs",
        email: "astrid.norling@example.se",
        mobile: "070-1740606",
    },
    SampleStaff {
        organization: OPVANG,
        name: ("Sanne", "Prins"),
        user_name: "ADMIN",
        password: "fietsbel kompas regenjas tulp",
        email: "sanne.prins@example.nl",
        mobile: "06-12345678",
    },
];

const fn parent(
    organization: &'static str,
    key: &'static str,
    login_name: &'static str,
    password: &'static str,
    story: &'static str,
) -> SampleLogin {
    let (portal, must_change) = (Portal::Parent, false);
    SampleLogin { organization, key, portal, login_name, password, must_change, story }
}

/// All sample logins.
pub const SAMPLE_LOGINS: [SampleLogin; 30] = [
    parent(
        KOMMUN,
        "g-001",
        "alma.sjoberg",
        "lingon-cykel-fyrtorn-vante",
        "has no BankID; the school issued a user name",
    ),
    parent(KOMMUN, "g-002", "10002", "barkbit-segel-tomat-lykta", "logs in with the customer number"),
    parent(
        KOMMUN,
        "g-003",
        "00123",
        "kantarell-brygga-snöre-uggla",
        "has a number with zeros in front: they count",
    ),
    parent(KOMMUN, "g-004", "K/2024.17", "pendel-hallon-trumma-skiffer", "has a number with marks in it"),
    parent(
        KOMMUN,
        "g-005",
        "yusuf.demir",
        "granris-paraply-måne-klocka",
        "has a temporary number (TF) and cannot use BankID",
    ),
    parent(
        KOMMUN,
        "g-006",
        "olle.brand",
        "sommar26",
        "has a short password from the old system: it works until it is changed",
    ),
    SampleLogin {
        organization: KOMMUN,
        key: "g-007",
        portal: Portal::Parent,
        login_name: "siv.ek",
        password: "vinbär-tavla-kompass-strand",
        must_change: true,
        story: "got the password on paper and must change it first",
    },
    parent(
        KOMMUN,
        "g-008",
        "asa.oberg",
        "smörgås-älv-träsked-måsunge",
        "has å, ä and ö in the password, however the keyboard composes them",
    ),
    parent(
        KOMMUN,
        "g-009",
        "par.oberg",
        "dimma-kastanj-ratt-fjäril",
        "second carer with the customer number of the first: logs in with a user name",
    ),
    parent(KOMMUN, "g-010", "irina.volkova", "ekorre-vagn-pumpa-kajak", "has a coordination number"),
    parent(KOMMUN, "g-011", "tove.lund", "snigel-hatt-orkan-plommon", "has two children at two schools"),
    parent(
        KOMMUN,
        "g-012",
        "jonas.falk",
        "gurka-spade-stjärna-flotte",
        "has a customer number and a user name; both work",
    ),
    parent(KOMMUN, "g-013", "10013", "ripa-kudde-björnbär-sprint", "reads English"),
    parent(
        KOMMUN,
        "g-014",
        "mehdi.karimi",
        "tärning-ärta-vind-handduk",
        "has neither e-mail nor mobile on file",
    ),
    parent(
        KOMMUN,
        "g-015",
        "ebba.strand",
        "ljung-pilbåge-soppa-krita",
        "has an e-mail with a semicolon after it in the source",
    ),
    parent(
        KOMMUN,
        "g-016",
        "10016",
        "humla-spång-kanel-dragspel",
        "has a national id with an en dash in the source",
    ),
    parent(
        KOMMUN,
        "g-017",
        "karin.ask",
        "tratt-morot-vågor-luffare",
        "has one confirmed child link and one that is not",
    ),
    parent(
        KOMMUN,
        "g-018",
        "leif.berg",
        "päron-skruv-dagg-galopp",
        "has a wrong national id: the password works, eID does not",
    ),
    parent(
        KOMMUN,
        "g-019",
        "10019",
        "tegel-mygga-rabarber-kanot",
        "an ordinary guardian, for trying wrong passwords",
    ),
    parent(KOMMUN, "g-020", "10020", "fikon-slädhund-mössa-torg", "an ordinary guardian, for trying limits"),
    parent(OPVANG, "o-001", "20001", "fiets-appelmoes-lantaarn-das", "logs in with the debtor number"),
    parent(
        OPVANG,
        "o-002",
        "20002",
        "regenjas-walnoot-trommel-kade",
        "has a BSN of eight digits in the source",
    ),
    parent(
        OPVANG,
        "o-003",
        "20003",
        "molen-kaneel-schaats-uil",
        "is parent and childminder: this password is for parents",
    ),
    SampleLogin {
        organization: OPVANG,
        key: "o-004",
        portal: Portal::Childminder,
        login_name: "50004",
        password: "zandbak-peer-fluit-kruiwagen",
        must_change: false,
        story: "is a childminder: try it at the parent portal to see WRONG_PORTAL",
    },
    SampleLogin {
        organization: OPVANG,
        key: "o-005",
        portal: Portal::Childminder,
        login_name: "50005",
        password: "kastanje-touw-brood-vlieger",
        must_change: false,
        story: "is a childminder with a confirmed contract",
    },
    parent(
        OPVANG,
        "o-006",
        "femke.bos",
        "druif-ladder-sneeuw-piano",
        "second carer with the debtor number of the first: logs in with a user name",
    ),
    parent(OPVANG, "o-007", "AB-2007", "wortel-anker-mist-kussen", "has letters in the debtor number"),
    parent(OPVANG, "o-008", "20008", "veer-pompoen-klok-duin", "has a BSN with dots in the source"),
    parent(OPVANG, "o-009", "20009", "honing-zeil-kast-egel", "reads English"),
    parent(
        OPVANG,
        "o-010",
        "20010",
        "tulp-emmer-wolk-gitaar",
        "the staff test account: everyone knows the password",
    ),
];

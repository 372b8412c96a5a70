//! People of a town with names as unevenly spread as real ones, written straight into the tables: a directory import of
//! as many is measured elsewhere.

use anyhow::Context as _;
use guardian_auth::adapters::key_vault::DerivedKeyVault;
use guardian_auth::adapters::system::SystemClock;
use guardian_auth::domain::id::{ChildId, GuardianId, SchoolId};
use guardian_auth::domain::identifier::{NationalId, Region};
use guardian_auth::domain::name_search::{FOLD_VERSION, fold, pairs};
use guardian_auth::domain::organization::OrganizationId;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::flows::national_id;
use guardian_auth::ports::clock::Clock as _;

use super::bulk::{Loader, Value};
use super::guardians::login_name;
use super::service::ORGANIZATION;
use super::windows::number;

/// Families of one school: with one or two children each, it has some 750.
const FAMILIES_OF_SCHOOL: usize = 500;

/// Beginnings and ends: 45 × 45 family names and 25 × 20 given ones, none of a person of ours.
const FAMILY: [&str; 45] = [
    "Lind", "Berg", "Sjö", "Ny", "Ek", "Björk", "Hall", "Sund", "Holm", "Ström", "Å", "Dal", "Gran", "Sand",
    "Wall", "Hed", "Söder", "Norr", "Öst", "Väst", "Lund", "Äng", "Fors", "Häll", "Kull", "Löv", "Alm",
    "Ask", "Rönn", "Sten", "Silver", "Gyllen", "Ros", "Blom", "Palm", "Hög", "Låg", "Myr", "Näs", "Vik",
    "Tall", "Hag", "Mo", "Skog", "Elv",
];
const FAMILY_ENDS: [&str; 45] = [
    "berg", "ström", "gren", "kvist", "lund", "mark", "dahl", "blad", "stedt", "man", "qvist", "holm",
    "vall", "skog", "fors", "bäck", "hult", "rot", "stam", "löf", "roth", "sson", "ell", "én", "ius",
    "ander", "in", "vik", "ö", "äng", "sten", "by", "torp", "lid", "hed", "sjö", "land", "feldt", "crona",
    "hammar", "sköld", "stjärna", "gård", "näs", "ås",
];
const GIVEN: [&str; 25] = [
    "Al", "An", "Be", "Ca", "Da", "El", "Em", "Fre", "Gu", "Han", "In", "Jo", "Ka", "Li", "Ma", "Ni", "Ol",
    "Pe", "Ro", "Sa", "Si", "Ti", "Vi", "Wil", "Zai",
];
const GIVEN_ENDS: [&str; 20] = [
    "na", "va", "ma", "ra", "lin", "nik", "ton", "dor", "ria", "nus", "rik", "bert", "gard", "len", "sa",
    "tin", "vald", "ya", "mir", "ette",
];

/// People of so many guardians.
#[derive(Clone)]
pub struct Population {
    guardians: usize,
    family: Names,
    given: Names,
}

/// A person's name.
pub struct Name {
    pub given: String,
    pub family: String,
}

impl Name {
    /// As people type it.
    pub fn full(&self) -> String {
        format!("{} {}", self.given, self.family)
    }
}

impl Population {
    /// Two guardians make a family.
    pub fn new(guardians: usize) -> Self {
        let family = Names::new(&FAMILY, &FAMILY_ENDS);
        let given = Names::new(&GIVEN, &GIVEN_ENDS);
        Self { guardians, family, given }
    }

    /// How many families there are.
    pub fn families(&self) -> usize {
        self.guardians / 2
    }

    /// How many schools there are.
    pub fn schools(&self) -> usize {
        self.families().div_ceil(FAMILIES_OF_SCHOOL)
    }

    /// A guardian of a family of this school, one after the other.
    pub fn guardian_at_school(&self, school: usize, turn: usize) -> usize {
        let families = self.families() / self.schools();
        let family = (turn / 2 % families) * self.schools() + school;
        family * 2 + turn % 2
    }

    /// Of two guardians of a family, more than half have one family name. One in four has two given names.
    pub fn guardian(&self, guardian: usize) -> Name {
        let mut dice = Dice::new(1, guardian);
        let shares = dice.roll() < 0.6;
        let family = if shares { self.family_name(guardian / 2) } else { self.family.pick(dice.roll()) };
        let mut given = self.given.pick(dice.roll()).to_owned();
        if dice.roll() < 0.25 {
            given = format!("{given} {}", self.given.pick(dice.roll()));
        }
        Name { given, family: family.to_owned() }
    }

    /// How many children a family has.
    pub fn children(family: usize) -> usize {
        1 + usize::from(Dice::new(2, family).roll() < 0.5)
    }

    /// The name of a child of a family.
    pub fn child(&self, family: usize, child: usize) -> Name {
        let given = self.given.pick(Dice::new(3, family * 2 + child).roll());
        Name { given: given.to_owned(), family: self.family_name(family).to_owned() }
    }

    fn family_name(&self, family: usize) -> &str {
        self.family.pick(Dice::new(4, family).roll())
    }

    /// Writes everybody, with numbers that this vault seals.
    pub async fn write(&self, to: &mut Loader, vault: &DerivedKeyVault) -> anyhow::Result<()> {
        let now = SystemClock.now();
        let schools: Vec<String> =
            (0..self.schools()).map(|place| id(SchoolId::new, now, 5, place)).collect();
        let rows = schools.iter().enumerate().map(|(place, id)| {
            vec![text(id), text(ORGANIZATION), text(format!("s-{place}")), text(format!("Skola {place}"))]
        });
        to.load("school", "id, organization, source_key, name", rows).await?;
        self.write_guardians(to, now).await?;
        self.write_numbers(to, vault, now).await?;
        self.write_children(to, &schools, now).await
    }

    async fn write_guardians(&self, to: &mut Loader, now: Timestamp) -> anyhow::Result<()> {
        let all = || (0..self.guardians).map(|place| (place, id(GuardianId::new, now, 6, place)));
        let rows = all().map(|(place, id)| {
            let Name { given, family } = self.guardian(place);
            vec![
                text(id),
                text(ORGANIZATION),
                text(format!("g-{place}")),
                text(given),
                text(family),
                text("sv"),
                text("active"),
                Value::Number(0),
                Value::Number(now.as_millis()),
                Value::Number(now.as_millis()),
                Value::Number(FOLD_VERSION),
            ]
        });
        let columns = "id, organization, source_key, given_name, family_name, locale, state, credential_epoch, \
             created_ms, updated_ms, names_folded";
        to.load("guardian", columns, rows).await?;
        let rows = all().flat_map(|(place, id)| parts("guardian", &id, &self.guardian(place)));
        to.load("name_part", "organization, kind, part, person_id", rows).await?;
        let rows = all().map(|(place, id)| {
            let kind = text("debtor_number");
            vec![
                text(ORGANIZATION),
                text("parent"),
                text(login_name(place)),
                text(id),
                kind,
                Value::Number(0),
            ]
        });
        to.load("guardian_login", "organization, portal, login_name, guardian_id, kind, is_spare", rows).await
    }

    async fn write_numbers(
        &self,
        to: &mut Loader,
        vault: &DerivedKeyVault,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let organization = OrganizationId::parse(ORGANIZATION).context("a name")?;
        let today = "2026-11-21".parse()?;
        let rows = (0..self.guardians).map(|place| {
            let guardian = GuardianId::new(now_and(now, place), Dice::new(6, place).bytes());
            let number = NationalId::parse(&temporary_number(place), Region::Se, today);
            let sealed =
                number.ok().map(|number| national_id::seal(vault, &organization, &guardian, &number));
            // The place of a number that is none would hold no bytes, and the database refuses a second one.
            let (index, bytes) = sealed.map_or_else(Default::default, |it| (it.index.to_vec(), it.sealed));
            vec![
                text(ORGANIZATION),
                text(guardian.as_str()),
                text("se.tf"),
                Value::Bytes(index),
                Value::Bytes(bytes),
                text("bench"),
                text("import"),
                Value::Number(now.as_millis()),
            ]
        });
        let columns = "organization, guardian_id, scheme, blind_index, sealed, key_id, source, added_ms";
        to.load("guardian_identifier", columns, rows).await
    }

    async fn write_children(
        &self,
        to: &mut Loader,
        schools: &[String],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let all = || {
            (0..self.families()).flat_map(|family| {
                (0..Self::children(family))
                    .map(move |child| (family, child, id(ChildId::new, now, 7, family * 2 + child)))
            })
        };
        let rows = all().map(|(family, child, id)| {
            let Name { given, family: name } = self.child(family, child);
            let school = text(&schools[family % schools.len()]);
            let key = text(format!("c-{family}-{child}"));
            let folded = Value::Number(FOLD_VERSION);
            vec![text(id), text(ORGANIZATION), key, text(given), text(name), school, folded]
        });
        let columns = "id, organization, source_key, given_name, family_name, school_id, names_folded";
        to.load("child", columns, rows).await?;
        let rows = all().flat_map(|(family, child, id)| parts("child", &id, &self.child(family, child)));
        to.load("name_part", "organization, kind, part, person_id", rows).await?;
        let rows = all().flat_map(|(family, _, child)| {
            [0, 1].map(|parent| {
                let guardian = id(GuardianId::new, now, 6, family * 2 + parent);
                let at = Value::Number(now.as_millis());
                vec![text(guardian), text(&child), text("import"), text("source"), at]
            })
        });
        to.load("child_link", "guardian_id, child_id, source, confirmed_by, confirmed_ms", rows).await
    }
}

/// The number of a guardian, as the school gives it: no person's.
pub fn temporary_number(guardian: usize) -> String {
    let (day, serial) = (guardian / 100, guardian % 100);
    let (month, day) = (day / 28, day % 28 + 1);
    format!("{}{:02}{day:02}-TF{serial:02}", 1960 + month / 12, month % 12 + 1)
}

fn parts(kind: &str, id: &str, name: &Name) -> Vec<Vec<Value>> {
    let row = |kind: &str, part: &String| vec![text(ORGANIZATION), text(kind), text(part), text(id)];
    let parts = fold(&name.full());
    let of_pairs = format!("{kind}_pair");
    let pairs = pairs(&parts);
    parts.iter().map(|part| row(kind, part)).chain(pairs.iter().map(|pair| row(&of_pairs, pair))).collect()
}

/// The id of somebody: always the same of one place.
fn id<T: ToString>(make: fn(Timestamp, [u8; 10]) -> T, now: Timestamp, kind: u64, place: usize) -> String {
    make(now_and(now, place), Dice::new(kind, place).bytes()).to_string()
}

/// As in an import: many in each millisecond.
fn now_and(now: Timestamp, place: usize) -> Timestamp {
    Timestamp::from_millis(now.as_millis() + i64::try_from(place / 16).unwrap_or(i64::MAX))
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// Names, the most frequent first: the second is half as frequent, the third a third (Zipf).
#[derive(Clone)]
struct Names {
    names: Vec<String>,
    /// Up to which share of the people.
    shares: Vec<f64>,
}

impl Names {
    fn new(beginnings: &[&str], ends: &[&str]) -> Self {
        let count = beginnings.len() * ends.len();
        // Neighbours in frequency begin differently.
        let names = (0..count).map(|rank| {
            let place = rank * 97 % count;
            format!("{}{}", beginnings[place / ends.len()], ends[place % ends.len()])
        });
        let whole: f64 = (1..=count).map(|rank| 1.0 / number(rank as u64)).sum();
        let mut sum = 0.0;
        let shares = (1..=count).map(|rank| {
            sum += 1.0 / number(rank as u64) / whole;
            sum
        });
        Self { names: names.collect(), shares: shares.collect() }
    }

    fn pick(&self, roll: f64) -> &str {
        let place = self.shares.partition_point(|share| *share < roll);
        &self.names[place.min(self.names.len() - 1)]
    }
}

/// Chance that is the same in each run (splitmix64).
struct Dice(u64);

impl Dice {
    fn new(kind: u64, place: usize) -> Self {
        let mut dice = Self((place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ kind.rotate_right(8));
        // Neighbours must not share what follows.
        dice.0 = dice.bits();
        dice
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// From 0 up to 1.
    fn roll(&mut self) -> f64 {
        number(self.bits() >> 12) / number(1 << 52)
    }

    fn bytes(&mut self) -> [u8; 10] {
        let (one, other) = (self.bits().to_be_bytes(), self.bits().to_be_bytes());
        std::array::from_fn(|place| if place < 8 { one[place] } else { other[place - 8] })
    }
}

//! `staff bootstrap`: the first account of staff, with a link to choose its password that is printed once.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::app;
use crate::config::Config;
use crate::domain::audit::{Event, Fact};
use crate::domain::id::AuditEventId;
use crate::domain::identifier::{Email, LoginName, Mobile, NationalId, Rejection};
use crate::domain::organization::{Organization, Portal};
use crate::domain::passphrase::Locale;
use crate::domain::staff::{Role, Scope};
use crate::domain::time::Timestamp;
use crate::flows::staff_accounts::{Error, Invitation, PrintedLink, StaffEid};
use crate::ports::entropy::random_bytes;

/// Longest file of a national id that is looked at, in bytes.
const MOST_NUMBER_BYTES: u64 = 64;

/// Accounts of staff.
#[derive(Debug, Subcommand)]
pub enum StaffCommand {
    /// Make the first account of a role and print a link to choose its password, good once and for 24 hours. There is no
    /// account before, and no password that somebody could know.
    Bootstrap(BootstrapArgs),
}

/// Arguments of `guardian-auth staff bootstrap`.
#[derive(Debug, Clone, Args)]
pub struct BootstrapArgs {
    /// The organization, by its short name in the configuration
    #[arg(long, value_name = "ORGANIZATION")]
    pub organization: String,

    /// `organization_administrator`, or `platform_operator` who appoints administrators and sees no guardian
    #[arg(long, value_name = "ROLE", value_parser = role)]
    pub role: Role,

    /// Given name
    #[arg(long, value_name = "NAME")]
    pub given_name: String,

    /// Family name
    #[arg(long, value_name = "NAME")]
    pub family_name: String,

    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    pub email: String,

    /// Mobile number
    #[arg(long, value_name = "NUMBER")]
    pub mobile: String,

    /// The name to log in with; one is made without it
    #[arg(long, value_name = "NAME")]
    pub user_name: Option<String>,

    /// A file with the person's number, for logins by eID; `-` reads it from standard input. It is no argument itself:
    /// arguments stand in the list of processes
    #[arg(long, value_name = "FILE")]
    pub national_id_file: Option<PathBuf>,

    /// Make the account though there are others of its role, who could invite: when nobody of them can log in
    #[arg(long)]
    pub even_so: bool,
}

fn role(text: &str) -> Result<Role, String> {
    match Role::parse(text) {
        Some(role @ (Role::OrganizationAdministrator | Role::PlatformOperator)) => Ok(role),
        Some(Role::SchoolAdministrator | Role::SupportPerson) => {
            Err("an administrator invites these: make an organization_administrator".to_owned())
        }
        None => Err("organization_administrator or platform_operator".to_owned()),
    }
}

/// Runs the command.
///
/// # Errors
/// If a value is none, there is somebody already, or the store is away.
pub async fn run(config: Config, command: StaffCommand) -> anyhow::Result<()> {
    let StaffCommand::Bootstrap(args) = command;
    let organization = app::organization(&config, &args.organization)?;
    print(&bootstrap(&config, &args, organization).await?, organization);
    Ok(())
}

/// Makes the account; the link that its owner chooses a password with.
///
/// # Errors
/// As [`run`].
pub async fn bootstrap(
    config: &Config,
    args: &BootstrapArgs,
    organization: &Organization,
) -> anyhow::Result<PrintedLink> {
    if !organization.portals.contains(&Portal::Staff) {
        bail!("{} has no portal \"staff\": add it to organizations[].portals", args.organization);
    }
    let invitation = invitation(args, organization)?;
    let (flow, now) = app::staff_accounts(config).await?;
    let event = event(args, organization, now);
    match flow.bootstrap(organization, &invitation, event, args.even_so).await {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(members)) => bail!(
            "there are {members} active members of this role in {}: let one of them invite, or say --even-so if none of \
             them can log in",
            args.organization
        ),
        Err(Error::UserNameTaken) => bail!("--user-name: another account of staff has it"),
        Err(Error::IdentifierTaken(_)) => {
            bail!("--national-id-file: another account of staff has this number")
        }
        Err(error) => Err(error.into()),
    }
}

fn invitation(args: &BootstrapArgs, organization: &Organization) -> anyhow::Result<Invitation> {
    let mut faults = Vec::new();
    let mut fault = |argument: &str, rejection: Rejection| {
        faults.push(format!("--{argument}: {}", rejection.reason()));
    };
    let email = Email::parse(&args.email).map_err(|no| fault("email", no)).ok();
    let mobile = Mobile::parse(&args.mobile, organization.region).map_err(|no| fault("mobile", no)).ok();
    let user_name =
        args.user_name.as_deref().map(|name| LoginName::parse(name, organization.leading_zeros()));
    let user_name = user_name.transpose().map_err(|no| fault("user-name", no)).ok();
    let number = args.national_id_file.as_deref().map(number).transpose()?;
    let read = |typed: String| NationalId::parse(typed.trim(), organization.region, app::today());
    let number = number.map(read).transpose().map_err(|no| fault("national-id-file", no)).ok();
    let (Some(email), Some(mobile), Some(user_name), Some(number)) = (email, mobile, user_name, number)
    else {
        bail!("{}", faults.join("\n"));
    };
    if number.as_ref().is_some_and(NationalId::is_temporary) {
        bail!("--national-id-file: no eID has a temporary number");
    }
    Ok(Invitation {
        given_name: args.given_name.trim().to_owned(),
        family_name: args.family_name.trim().to_owned(),
        email,
        mobile,
        user_name,
        role: args.role,
        scope: Scope::Organization,
        eid: number.map(StaffEid::National),
        locale: Locale::from_tag(""),
    })
}

fn number(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MOST_NUMBER_BYTES).read_to_string(&mut text)?;
    } else {
        let file = fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        file.take(MOST_NUMBER_BYTES).read_to_string(&mut text)?;
    }
    Ok(text)
}

fn event(args: &BootstrapArgs, organization: &Organization, at: Timestamp) -> Event {
    Event {
        id: AuditEventId::new(at, random_bytes(app::entropy().as_ref())),
        at,
        organization: organization.id.clone(),
        portal: Some(Portal::Staff),
        fact: Fact::StaffBootstrapped,
        guardian: None,
        session: None,
        reference: None,
        caller: "staff bootstrap".to_owned(),
        address: None,
        user_agent: String::new(),
        known_device: false,
        staff: None,
        child: None,
        detail: Some(args.role.as_str().to_owned()),
    }
}

fn print(link: &PrintedLink, organization: &Organization) {
    let until = jiff::Timestamp::from_second(link.expires.as_seconds())
        .map_or_else(|_| "?".to_owned(), |at| at.to_string());
    println!("account     {}", link.staff);
    println!("user name   {}", link.user_name.as_str());
    println!("good until  {until}, once");
    println!("{}", link.link.expose());
    if !link.link.expose().contains("://") {
        println!(
            "This is the token for LoginService.ActivateCredential: {} has no pages.staff.activation to link to.",
            organization.id.as_str()
        );
    }
}

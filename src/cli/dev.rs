//! `dev`: the service on fresh embedded state with sample guardians, on this machine only.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::callers::new_token;
use super::import;
use super::logs;
use super::sample_logins::{KOMMUN, OPVANG, SAMPLE_LOGINS, SAMPLE_STAFF, SampleStaff};
use super::serve::stop_signal;
use super::staff;
use crate::app::{self, App, EidListeners, Outside, SimulatedEids};
use crate::config::Config;
use crate::domain::secret::Secret;
use crate::domain::staff::Role;
use crate::flows::staff_accounts::PrintedLink;
use crate::ports::entropy::random_bytes;

/// The sample directories, as shipped in `examples/`.
const SAMPLES: [(&str, &str); 2] = [
    (KOMMUN, include_str!("../../examples/directory-sample-kommun.jsonl")),
    (OPVANG, include_str!("../../examples/directory-voorbeeld-opvang.jsonl")),
];

/// Where to listen.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Address of gRPC, gRPC-Web and JWKS; this machine only.
    #[arg(long, default_value = "127.0.0.1:50051")]
    pub grpc: SocketAddr,
    /// Address of health and metrics; this machine only.
    #[arg(long, default_value = "127.0.0.1:9090")]
    pub ops: SocketAddr,
    /// Address of the pages with the mailbox and a small portal; this machine only.
    #[arg(long, default_value = "127.0.0.1:8025")]
    pub pages: SocketAddr,
    /// Address of the simulated BankID's API; this machine only.
    #[arg(long, default_value = "127.0.0.1:8026")]
    pub bankid: SocketAddr,
    /// Address of the simulated identity providers; this machine only.
    #[arg(long, default_value = "127.0.0.1:8027")]
    pub providers: SocketAddr,
}

/// The directory with the state; gone when dropped.
struct State(PathBuf);

impl Drop for State {
    fn drop(&mut self) {
        // A directory that stays behind holds sample data only.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// If an address is not on loopback or taken, or the state cannot be made.
pub async fn run(args: DevArgs) -> anyhow::Result<()> {
    for address in [args.grpc, args.ops, args.pages, args.bankid, args.providers] {
        if !address.ip().is_loopback() {
            bail!(
                "{address} is not on loopback: `dev` has printed keys and known passwords; use `serve` for a network"
            );
        }
    }
    let outside = Outside::of_this_machine();
    let unique = u64::from_be_bytes(random_bytes(outside.entropy.as_ref()));
    let state = State(std::env::temp_dir().join(format!("guardian-auth-dev-{unique:016x}")));
    std::fs::create_dir(&state.0).with_context(|| format!("making {}", state.0.display()))?;

    let mut tokens = HashMap::new();
    let master_key = Secret::new(random_bytes(outside.entropy.as_ref()));
    let mut config = Config::development(&state.0, master_key, args.pages, |caller| {
        let (token, digest) = new_token(outside.entropy.as_ref());
        tokens.insert(caller.to_owned(), token);
        digest
    });
    config.listen.grpc = args.grpc;
    config.listen.ops = args.ops;
    config.issuer = format!("http://{}", args.grpc);
    let listeners = EidListeners::bind(args.bankid, args.providers).await?;
    let eids = SimulatedEids::start(listeners, &mut config, args.pages, &state.0, &outside)?;

    let logs = logs::init(config.log, Box::new(std::io::stderr()))?;
    println!(
        "guardian-auth dev: fresh state, gone when this stops (Ctrl-C). Sample data only; never for real guardians.\n"
    );
    load_samples(&config).await?;
    let links = staff_links(&config).await?;
    let stop = CancellationToken::new();
    let pages = app::pages(&config, args.pages, args.grpc, &tokens, Some(&eids), stop.clone()).await?;
    let app = App::start(config, outside).await?;
    activate_staff(&links, app.grpc_address(), &tokens).await?;
    print_calls(&app, &tokens, &state.0, args.pages);
    stop_signal().await?;
    stop.cancel();
    app.stop().await;
    pages.await.context("the pages ended badly")?;
    drop(logs);
    Ok(())
}

async fn load_samples(config: &Config) -> anyhow::Result<()> {
    app::migrate(config).await?;
    let flow = app::directory_import(config).await?;
    for (name, file) in SAMPLES {
        let organization = app::organization(config, name)?;
        // The findings of the sample are meant; `import` shows them.
        let summary =
            import::quietly(&flow, organization, app::directory_rows(file.as_bytes()).as_mut()).await?;
        println!(
            "loaded {name}: {} rows; {} findings and {} bad rows, which are part of the sample",
            summary.created, summary.findings, summary.rejected
        );
    }
    Ok(())
}

/// Sample staff come to their accounts as everybody does: by the link of `staff bootstrap`.
async fn staff_links(config: &Config) -> anyhow::Result<Vec<(SampleStaff, PrintedLink)>> {
    let mut links = Vec::new();
    for sample in SAMPLE_STAFF {
        let organization = app::organization(config, sample.organization)?;
        let args = staff::BootstrapArgs {
            organization: sample.organization.to_owned(),
            role: Role::OrganizationAdministrator,
            given_name: sample.name.0.to_owned(),
            family_name: sample.name.1.to_owned(),
            email: sample.email.to_owned(),
            mobile: sample.mobile.to_owned(),
            user_name: Some(sample.user_name.to_owned()),
            national_id_file: None,
            even_so: false,
        };
        let link = staff::bootstrap(config, &args, organization).await?;
        links.push((sample, link));
    }
    Ok(links)
}

async fn activate_staff(
    links: &[(SampleStaff, PrintedLink)],
    grpc: SocketAddr,
    tokens: &HashMap<String, Secret<String>>,
) -> anyhow::Result<()> {
    for (sample, link) in links {
        let token = tokens.get(&format!("{}-admin", sample.organization)).context("no admin portal")?;
        let (_, link_token) = link.link.expose().split_once("token=").context("a link without a token")?;
        app::activate_sample_staff(grpc, token.expose(), sample.organization, link_token, sample.password)
            .await
            .map_err(anyhow::Error::from_boxed)
            .context("giving sample staff their passwords")?;
    }
    Ok(())
}

fn print_calls(app: &App, tokens: &HashMap<String, Secret<String>>, state: &Path, pages: SocketAddr) {
    let (grpc, ops) = (app.grpc_address(), app.ops_address());
    println!(
        "\ngRPC, gRPC-Web and JWKS on {grpc}; health and metrics on http://{ops}; state in {}",
        state.display()
    );
    println!(
        "Mails go nowhere but here: http://{pages}/mailbox; a small portal to click through: http://{pages}/portal"
    );
    println!("\nSample logins:");
    println!(
        "  {:<18} {:<12} {:<14} {:<34} the guardian …",
        "organization", "portal", "login name", "password"
    );
    for login in SAMPLE_LOGINS {
        println!(
            "  {:<18} {:<12} {:<14} {:<34} {}",
            login.organization,
            login.portal.as_str(),
            login.login_name,
            login.password,
            login.story
        );
    }
    println!("\nSample staff, organization administrators at the portal staff (a password is enough here):");
    for staff in SAMPLE_STAFF {
        println!("  {:<18} {:<14} {}", staff.organization, staff.user_name, staff.password);
    }
    println!(
        "\nTokens of the calling systems (made now). Logins go through the token of the organization's `portal`;\n`admin` calls for staff; `sync` and `operator` read the public keys so far:"
    );
    let mut names: Vec<&String> = tokens.keys().collect();
    names.sort();
    for name in names {
        println!("  {name:<28} {}", tokens[name].expose());
    }
    let Some(login) = SAMPLE_LOGINS.first() else { return };
    let Some(token) = tokens.get(&format!("{}-portal", login.organization)) else { return };
    let token = token.expose();
    let portal = format!("PORTAL_{}", login.portal.as_str().to_uppercase());
    println!("\nCalls to paste into another terminal; README.md has one for every story:");
    println!("\n  # The whole story with the example client: log in, verify, refresh, end.");
    println!(
        "  cargo run --example login -- {token} {} {} {} {} http://{grpc}",
        login.organization,
        login.portal.as_str(),
        login.login_name,
        login.password
    );
    println!(
        "\n  # The same by hand, with grpcurl (go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest)."
    );
    println!("  grpcurl -plaintext {grpc} list");
    println!(
        "  grpcurl -plaintext -H 'authorization: Bearer {token}' \\\n    -d '{{\"organization\":\"{}\",\"portal\":\"{portal}\",\"login_name\":\"{}\",\"password\":\"{}\",\"client\":{{\"ip\":\"192.0.2.7\"}}}}' \\\n    {grpc} guardian.auth.v1.LoginService/LoginWithPassword",
        login.organization, login.login_name, login.password
    );
    println!("\n  # ACCESS_TOKEN is `accessToken` of that answer. It is valid for 5 minutes.");
    println!(
        "  grpcurl -plaintext -H 'authorization: Bearer {token}' \\\n    -d '{{\"access_token\":\"ACCESS_TOKEN\",\"organization\":\"{}\",\"portal\":\"{portal}\"}}' \\\n    {grpc} guardian.auth.v1.SessionService/VerifySession",
        login.organization
    );
    println!(
        "\n  # A forgotten password, from the request to the login with the new one; the mail is on the mailbox page too."
    );
    println!("  cargo run --example reset_story -- {token} http://{grpc} http://{pages}");
    if let Some(admin) = tokens.get(&format!("{}-admin", login.organization)) {
        println!(
            "\n  # Staff: find a guardian, confirm the child link, issue a user name and a code, activate, log in."
        );
        println!("  cargo run --example staff -- {} {token} http://{grpc}", admin.expose());
    }
    print_eids(token, grpc, pages);
    println!("\n  # Without any tool but curl:");
    println!("  curl -s http://{grpc}/.well-known/jwks.json");
    println!("  curl -s http://{ops}/metrics | grep guardian_auth_");
    println!("\nLogs follow on standard error, a JSON object a line. Ctrl-C stops the service.");
}

/// Logins with an eID: by clicking, and by a command each.
fn print_eids(token: &str, grpc: SocketAddr, pages: SocketAddr) {
    println!(
        "\n  # eIDs, by clicking: the buttons of http://{pages}/portal/{KOMMUN}/parent (BankID, Idura, Signicat, Freja, Sweden Connect)\n  # and of http://{pages}/portal/{OPVANG}/parent (DigiD); the phone with BankID is http://{pages}/bankid."
    );
    println!(
        "  # BankID on another device, signed by Alma Sjöberg. Without --persona: scan and sign yourself."
    );
    println!(
        "  cargo run --example login_bankid -- {token} http://{grpc} http://{pages} --persona 197001019806"
    );
    println!("  # An OpenID provider: idura, signicat, freja or swedenconnect.");
    println!(
        "  cargo run --example login_oidc -- {token} {KOMMUN} freja http://{grpc} --persona 197001019806"
    );
}

//! What is measured, what is asked of it, and the table and file that say so.

use std::collections::BTreeMap;

/// Figures that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Logins on SQLite and in-process limits.
    Login,
    /// Logins on PostgreSQL and Redis.
    LoginPostgres,
    /// `VerifySession` beside SQLite.
    Verify,
    /// `VerifySession` beside PostgreSQL and Redis.
    VerifyPostgres,
    /// Decisions of the limiter.
    Limiter,
    /// Ten times the peak.
    Overload,
    /// A million guardians.
    Scale,
    /// Searches of staff among a million guardians.
    Search,
    /// Start and rest.
    Footprint,
    /// Requests for reset links on SQLite and in-process limits.
    Reset,
    /// The same on PostgreSQL and Redis.
    ResetPostgres,
    /// Requests for reset links while the mail server is away.
    SmtpDown,
    /// Sending what waits.
    Outbox,
    /// Logins while a provider of eIDs does not answer.
    ProviderSlow,
    /// Logins that are traced.
    Traces,
    /// Verifying the audit log.
    Audit,
    /// Sealing anew beside logins.
    Reseal,
}

impl Part {
    /// In the order of measuring.
    pub const ALL: [Self; 17] = [
        Self::Footprint,
        Self::Login,
        Self::Verify,
        Self::Overload,
        Self::LoginPostgres,
        Self::VerifyPostgres,
        Self::Limiter,
        Self::Reset,
        Self::ResetPostgres,
        Self::SmtpDown,
        Self::Outbox,
        Self::ProviderSlow,
        Self::Traces,
        Self::Audit,
        Self::Reseal,
        Self::Scale,
        Self::Search,
    ];

    /// The word for `--only`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginPostgres => "login_postgres",
            Self::Verify => "verify",
            Self::VerifyPostgres => "verify_postgres",
            Self::Limiter => "limiter",
            Self::Overload => "overload",
            Self::Scale => "scale",
            Self::Search => "search",
            Self::Footprint => "footprint",
            Self::Reset => "reset",
            Self::ResetPostgres => "reset_postgres",
            Self::SmtpDown => "smtp_down",
            Self::Outbox => "outbox",
            Self::ProviderSlow => "provider_slow",
            Self::Traces => "traces",
            Self::Audit => "audit",
            Self::Reseal => "reseal",
        }
    }
}

/// What a figure must be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// This.
    Exactly(f64),
    /// It is told, and nothing is asked of it.
    Told,
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Exactly(exact) => (value - exact).abs() < 1e-9,
            Self::Told => true,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
            Self::Exactly(exact) => format!("= {exact}"),
            Self::Told => String::new(),
        }
    }
}

/// One figure.
#[derive(Debug)]
pub struct Figure {
    /// Its name in the file.
    pub key: &'static str,
    /// What it is measured with.
    pub part: Part,
    target: Target,
    what: &'static str,
}

const fn figure(key: &'static str, part: Part, target: Target, what: &'static str) -> Figure {
    Figure { key, part, target, what }
}

/// Every figure, in the order of the table.
pub const FIGURES: [Figure; 34] = [
    figure(
        "login_ratio",
        Part::Login,
        Target::AtLeast(0.90),
        "logins/s ÷ bare hashes/s: SQLite, limits in process",
    ),
    figure(
        "login_ratio_postgres",
        Part::LoginPostgres,
        Target::AtLeast(0.85),
        "logins/s ÷ bare hashes/s: PostgreSQL, Redis",
    ),
    figure(
        "verify_ratio_sqlite",
        Part::Verify,
        Target::AtLeast(0.50),
        "VerifySession/s ÷ bare unary calls/s: SQLite",
    ),
    figure(
        "verify_ratio_postgres",
        Part::VerifyPostgres,
        Target::AtLeast(0.50),
        "VerifySession/s ÷ bare unary calls/s: PostgreSQL",
    ),
    figure("limiter_ratio", Part::Limiter, Target::AtLeast(0.85), "decisions/s ÷ bare EVALSHA/s"),
    figure("limiter_round_trips", Part::Limiter, Target::Exactly(1.0), "commands to Redis for one decision"),
    figure(
        "overload_goodput_ratio",
        Part::Overload,
        Target::AtLeast(0.85),
        "logins/s at 10 × the peak ÷ peak",
    ),
    figure("overload_refusal_p99_ms", Part::Overload, Target::AtMost(10.0), "refusals meanwhile, ms"),
    figure("overload_health_p99_ms", Part::Overload, Target::AtMost(50.0), "health checks meanwhile, ms"),
    figure("overload_verify_p99_ms", Part::Overload, Target::AtMost(10.0), "VerifySession meanwhile, ms"),
    figure(
        "overload_rss_mib",
        Part::Overload,
        Target::AtMost(128.0),
        "most resident memory of the server, MiB",
    ),
    figure(
        "reset_ratio",
        Part::Reset,
        Target::AtLeast(0.50),
        "RequestPasswordReset/s ÷ bare INSERT/s: SQLite, limits in process",
    ),
    figure(
        "reset_ratio_postgres",
        Part::ResetPostgres,
        Target::AtLeast(0.50),
        "RequestPasswordReset/s ÷ bare INSERT/s: PostgreSQL, Redis",
    ),
    figure(
        "reset_smtp_down_p50_ratio",
        Part::SmtpDown,
        Target::AtMost(1.05),
        "RequestPasswordReset p50 without the mail server ÷ with it",
    ),
    figure(
        "reset_smtp_down_p99_ratio",
        Part::SmtpDown,
        Target::AtMost(1.50),
        "RequestPasswordReset p99 without the mail server ÷ with it",
    ),
    figure(
        "outbox_mails_per_s",
        Part::Outbox,
        Target::Told,
        "mails/s of one replica, mail server at once: PostgreSQL",
    ),
    figure("outbox_mails_per_s_20ms", Part::Outbox, Target::Told, "the same, mail server 20 ms an answer"),
    figure(
        "outbox_two_replicas_ratio",
        Part::Outbox,
        Target::AtLeast(1.60),
        "mails/s of two replicas ÷ of one, mail server 20 ms an answer",
    ),
    figure("outbox_two_replicas_ratio_at_once", Part::Outbox, Target::Told, "the same, mail server at once"),
    figure(
        "login_provider_slow_p50_ratio",
        Part::ProviderSlow,
        Target::AtMost(1.05),
        "login p50 while a provider of eIDs does not answer ÷ without it",
    ),
    figure("login_provider_slow_p99_ratio", Part::ProviderSlow, Target::AtMost(1.50), "the same at p99"),
    figure(
        "trace_ratio",
        Part::Traces,
        Target::AtLeast(0.97),
        "logins/s with every call traced and exported ÷ without traces: PostgreSQL, Redis",
    ),
    figure(
        "audit_verify_events_per_s",
        Part::Audit,
        Target::AtLeast(50_000.0),
        "events/s of `audit verify`: SQLite",
    ),
    figure(
        "audit_verify_events_per_s_postgres",
        Part::Audit,
        Target::AtLeast(50_000.0),
        "events/s of `audit verify`: PostgreSQL",
    ),
    figure("reseal_rows_per_s", Part::Reseal, Target::Told, "rows/s of `keys rotate --data`: PostgreSQL"),
    figure(
        "login_reseal_p99_ratio",
        Part::Reseal,
        Target::AtMost(1.50),
        "login p99 while numbers are sealed anew ÷ before",
    ),
    figure(
        "login_scale_ratio",
        Part::Scale,
        Target::AtMost(1.10),
        "login p50 with 1,000,000 guardians ÷ with 1,000",
    ),
    figure(
        "search_scale_ratio",
        Part::Search,
        Target::AtMost(1.50),
        "SearchGuardians p50 with 1,000,000 guardians ÷ with 10,000: SQLite",
    ),
    figure(
        "search_scale_ratio_postgres",
        Part::Search,
        Target::AtMost(1.50),
        "SearchGuardians p50 with 1,000,000 guardians ÷ with 10,000: PostgreSQL",
    ),
    figure("import_rows_per_s", Part::Scale, Target::Told, "rows/s of the import"),
    figure("import_peak_rss_mib", Part::Scale, Target::Told, "most resident memory of the import, MiB"),
    figure("cold_start_ms", Part::Footprint, Target::Told, "from exec to SERVING, ms"),
    figure("idle_rss_mib", Part::Footprint, Target::Told, "resident memory of an idle server, MiB"),
    figure(
        "idle_rss_mib_postgres",
        Part::Footprint,
        Target::Told,
        "the same beside PostgreSQL and Redis, MiB",
    ),
];

/// What was measured.
#[derive(Default)]
pub struct Results {
    values: BTreeMap<&'static str, f64>,
    notes: BTreeMap<&'static str, String>,
    /// Parts that did not come to an end.
    pub failures: Vec<String>,
}

impl Results {
    /// Takes a figure, and what it was made of.
    pub fn put(&mut self, key: &'static str, value: f64, note: impl Into<String>) {
        debug_assert!(FIGURES.iter().any(|figure| figure.key == key), "{key}");
        self.values.insert(key, value);
        self.notes.insert(key, note.into());
    }

    /// The table.
    pub fn print(&self, wanted: &[&Figure]) {
        println!("\n{:<33} {:>10} {:>8}  {:<7} what", "figure", "measured", "target", "verdict");
        for figure in wanted {
            let Some(value) = self.values.get(figure.key).copied() else {
                println!(
                    "{:<33} {:>10} {:>8}  {:<7} {}",
                    figure.key,
                    "-",
                    figure.target.text(),
                    "FAILED",
                    figure.what
                );
                continue;
            };
            let verdict = match figure.target {
                Target::Told => "",
                Target::AtLeast(_) | Target::AtMost(_) | Target::Exactly(_)
                    if figure.target.is_met(value) =>
                {
                    "met"
                }
                Target::AtLeast(_) | Target::AtMost(_) | Target::Exactly(_) => "MISSED",
            };
            let note = &self.notes[figure.key];
            let text = format!("{value:.3}");
            println!(
                "{:<33} {text:>10} {:>8}  {verdict:<7} {}; {note}",
                figure.key,
                figure.target.text(),
                figure.what
            );
        }
        for failure in &self.failures {
            println!("FAILED {failure}");
        }
    }

    /// The flat object.
    pub fn json(&self, wanted: &[&Figure]) -> String {
        let chosen = wanted.iter().filter_map(|figure| Some((figure.key, self.values.get(figure.key)?)));
        let object: serde_json::Map<String, serde_json::Value> =
            chosen.map(|(key, value)| (key.to_owned(), serde_json::Value::from(*value))).collect();
        format!("{:#}\n", serde_json::Value::Object(object))
    }

    /// Whether a target was missed, or nothing measured for it.
    pub fn missed(&self, wanted: &[&Figure]) -> bool {
        !wanted
            .iter()
            .all(|figure| self.values.get(figure.key).is_some_and(|value| figure.target.is_met(*value)))
    }
}

//! The pages of `dev`: the mailbox shows what was written and runs nothing of it; they answer this machine only.

mod browser;
mod eid;
mod portal;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::secret::Secret;
use guardian_auth::simulators::{Pages, PortalAccess, Settings};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

const RESET_MAIL: &str = "1795262400000-01KAMXJ7VQ3S8Z0H2T9B4C5D6E.eml";

/// As a mail library writes it: encoded words in the head, quoted-printable bodies with soft line breaks.
const MAIL: &str = "\
Message-ID: <01KAMXJ7VQ3S8Z0H2T9B4C5D6E@sample.example>\r\n\
From: =?utf-8?b?RsO2cnNrb2xhbiDDhG5nZW4=?= <no-reply@sample.example>\r\n\
To: kim@example.se\r\n\
Subject: =?utf-8?q?V=C3=A4lj_ett_nytt_l=C3=B6senord_=E2=80=93_F=C3=B6rskolan?=\r\n\
MIME-Version: 1.0\r\n\
Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n\
Content-Type: multipart/alternative; boundary=\"b0undary\"\r\n\
\r\n\
--b0undary\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
Content-Transfer-Encoding: quoted-printable\r\n\
\r\n\
V=C3=A4lj ett nytt l=C3=B6senord h=C3=A4r:\r\n\
\r\n\
http://127.0.0.1:8025/portal/sample-kommun/parent/new-password#token=3Dabc-=\r\n\
def_123\r\n\
\r\n\
--b0undary\r\n\
Content-Type: text/html; charset=utf-8\r\n\
Content-Transfer-Encoding: quoted-printable\r\n\
\r\n\
<!doctype html><html lang=3D\"sv\"><head><title>x</title></head><body><p>V=C3=A4lj <a href=3D=\r\n\
\"http://127.0.0.1:8025/x\">h=C3=A4r</a></p></body></html>\r\n\
--b0undary--\r\n";

/// Every value tries to be markup.
const HOSTILE_MAIL: &str = "\
From: \"<img src=x onerror=alert(1)>\" <no-reply@sample.example>\r\n\
To: \"<script>alert(2)</script>\" <kim@example.se>\r\n\
Subject: </title><script>alert(3)</script>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/alternative; boundary=b\r\n\
\r\n\
--b\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
\r\n\
</pre><script>alert(4)</script> javascript:alert(5) https://a.example/\"onclick=alert(6)\r\n\
--b\r\n\
Content-Type: text/html; charset=utf-8\r\n\
\r\n\
<p>Hi</p><script>alert(7)</script>\r\n\
--b--\r\n";

const BROWSER: &str = "user-agent: tests/it\r\naccept-language: sv-SE,sv;q=0.9,en;q=0.5\r\n";

struct Running {
    address: SocketAddr,
    mailbox: TempDir,
    _stop: DropGuard,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Running {
    /// Nobody can answer on port 0: what needs the service shows that it is away.
    async fn start() -> Self {
        Self::before(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn before(grpc: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mailbox = tempfile::tempdir().unwrap();
        let directory = mailbox.path().join("mails");
        fs::create_dir(&directory).unwrap();
        let settings = Settings {
            mailbox_dir: directory,
            grpc,
            portals: vec![PortalAccess {
                organization: "sample-kommun".to_owned(),
                display_name: "Sample <kommun>".to_owned(),
                portal: Portal::Parent,
                token: Secret::new("a-token-that-is-in-no-page".to_owned()),
            }],
            bankid: None,
            providers: None,
        };
        let stop = CancellationToken::new();
        tokio::spawn(Pages::serve(listener, settings, stop.clone()));
        Self { address, mailbox, _stop: stop.drop_guard() }
    }

    fn directory(&self) -> std::path::PathBuf {
        self.mailbox.path().join("mails")
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.directory().join(name), content).unwrap();
    }

    /// Sends a request with these header lines as they are: no client tidies a path up.
    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{headers}connection: close\r\ncontent-length: {length}\r\ncontent-type: application/x-www-form-urlencoded\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &format!("host: {}\r\n{BROWSER}", self.address), "").await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        let host = self.address;
        self.send("POST", path, &format!("host: {host}\r\norigin: http://{host}\r\n{BROWSER}"), body).await
    }
}

impl Answer {
    #[track_caller]
    fn has(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.body.contains(part), "{part} in\n{}", self.body);
        }
        self
    }
}

#[tokio::test]
async fn a_mail_is_listed_newest_first_and_shown_in_both_forms() {
    let running = Running::start().await;
    running.get("/mailbox").await.has(&["No message yet"]);
    running.write(RESET_MAIL, MAIL);
    running
        .write("1795262300000-01KAMXJ7VQ3S8Z0H2T9B4C5D6F.txt", "To: +46701740605\n\nLösenordet är ändrat.");
    running.write("1795262400000-half-written.eml.tmp", MAIL);

    let list = running.get("/mailbox").await;
    list.has(&[
        "<meta http-equiv=\"refresh\" content=\"5\">",
        "2026-11-21 12:00:00 UTC",
        "kim@example.se",
        "Välj ett nytt lösenord – Förskolan</a>",
        "+46701740605",
    ]);
    assert!(!list.body.contains(".tmp"));
    let (mail, text) = (list.body.find(".eml").unwrap(), list.body.find(".txt").unwrap());
    assert!(mail < text, "the newest first");

    running.get(&format!("/mailbox/{RESET_MAIL}")).await.has(&[
        "Förskolan Ängen &lt;no-reply@sample.example&gt;",
        "sandbox=\"allow-popups allow-popups-to-escape-sandbox\"",
        "Välj ett nytt lösenord här:",
        "<a href=\"http://127.0.0.1:8025/portal/sample-kommun/parent/new-password#token=abc-def_123\" target=\"_blank\" rel=\"noopener noreferrer\">",
    ]);
    let html = running.get(&format!("/mailbox/{RESET_MAIL}/html")).await;
    html.has(&[
        "<head><base target=\"_blank\"><title>",
        "<p>Välj <a href=\"http://127.0.0.1:8025/x\">här</a></p>",
    ]);
    assert!(html.head.contains("content-type: text/html; charset=utf-8"));

    let text = running.get("/mailbox/1795262300000-01KAMXJ7VQ3S8Z0H2T9B4C5D6F.txt").await;
    text.has(&["+46701740605", "Lösenordet är ändrat."]);
    assert!(!text.body.contains("<iframe"));
}

#[tokio::test]
async fn nothing_of_a_hostile_mail_is_run() {
    let running = Running::start().await;
    running.write(RESET_MAIL, HOSTILE_MAIL);
    running.write("1795262400001-a.txt", "To: <script>alert(8)</script>\n\n<script>alert(9)</script>");
    for path in
        ["/mailbox".to_owned(), format!("/mailbox/{RESET_MAIL}"), "/mailbox/1795262400001-a.txt".to_owned()]
    {
        let page = running.get(&path).await;
        assert_eq!(page.status, 200);
        for markup in ["<script", "<img", "javascript:alert(5)\"", "\"onclick"] {
            assert!(!page.body.contains(markup), "{markup} in {path}\n{}", page.body);
        }
        assert!(
            page.head.contains("content-security-policy: default-src 'none'; style-src 'self';"),
            "{}",
            page.head
        );
        assert!(!page.head.contains("script-src") && page.head.contains("frame-ancestors 'none'"));
    }
    // Its HTML is shown as it is, where no script runs and nothing is fetched.
    let html = running.get(&format!("/mailbox/{RESET_MAIL}/html")).await;
    html.has(&["<script>alert(7)</script>"]);
    let policy = html.head.lines().find(|line| line.starts_with("content-security-policy:")).unwrap();
    assert!(
        policy.contains("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("allow-scripts") && !policy.contains("allow-same-origin"), "{policy}");
}

#[tokio::test]
async fn a_name_leads_nowhere_but_to_a_message() {
    let running = Running::start().await;
    fs::write(running.mailbox.path().join("1-secret.eml"), MAIL).unwrap();
    fs::write(running.mailbox.path().join("secret.txt"), "secret").unwrap();
    link(&running.mailbox.path().join("secret.txt"), &running.directory().join("1-link.txt"));
    running.write("1-empty.eml", "");
    running.write("notes.txt", "secret");
    for path in [
        "/mailbox/../1-secret.eml",
        "/mailbox/..%2f1-secret.eml",
        "/mailbox/..%2F..%2f1-secret.eml/html",
        "/mailbox/%2e%2e%2f1-secret.eml",
        "/mailbox/..%5c1-secret.eml",
        "/mailbox/1-..%2f..%2fsecret.txt",
        "/mailbox/1-link.txt",
        "/mailbox/notes.txt",
        "/mailbox/1-absent.eml",
        "/mailbox/1-empty.eml",
        "/mailbox/1-secret.eml%00",
        "/mailbox/%ff.eml",
        "/mailbox/",
        "/nowhere",
        "/portal/sample-kommun/childminder",
        "/portal/other/parent/forgot",
        "/portal/sample-kommun/parent/nowhere",
    ] {
        let answer = running.get(path).await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.body.contains("secret"), "{path}");
    }
    assert_eq!(running.get("/nowhere").await.status, 404);
}

#[cfg(unix)]
fn link(target: &Path, name: &Path) {
    std::os::unix::fs::symlink(target, name).unwrap();
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) {}

#[tokio::test]
async fn pages_answer_only_under_a_name_of_this_machine() {
    let running = Running::start().await;
    let port = running.address.port();
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")] {
        assert_eq!(
            running.send("GET", "/mailbox", &format!("host: {host}\r\n"), "").await.status,
            200,
            "{host}"
        );
    }
    for host in ["rebound.example", "127.0.0.1.rebound.example", "192.0.2.7", ""] {
        let answer = running.send("GET", "/mailbox", &format!("host: {host}\r\n"), "").await;
        assert_eq!(answer.status, 403, "{host}");
        answer.has(&["for this machine only"]);
    }
}

#[tokio::test]
async fn a_form_from_elsewhere_is_refused() {
    let running = Running::start().await;
    let (host, path) = (running.address, "/portal/sample-kommun/parent/forgot");
    for headers in
        ["", "origin: null\r\n", "origin: http://evil.example\r\n", "sec-fetch-site: cross-site\r\n"]
    {
        let answer = running.send("POST", path, &format!("host: {host}\r\n{headers}"), "method=x").await;
        assert_eq!(answer.status, 403, "{headers}");
        answer.has(&["not sent from one of these pages"]);
    }
    assert_eq!(running.post(path, "method=x").await.status, 200);
    assert_eq!(running.post("/mailbox", "").await.status, 404);
    assert_eq!(running.post(path, &"x".repeat(20 * 1024)).await.status, 413);
}

#[tokio::test]
async fn a_portal_without_the_service_says_so_and_shows_no_token() {
    let running = Running::start().await;
    running.get("/").await.has(&["href=\"/mailbox\"", "href=\"/portal\""]);
    running
        .get("/portal")
        .await
        .has(&["href=\"/portal/sample-kommun/parent\"", "Sample &lt;kommun&gt;, parent"]);
    assert!(running.get("/style.css").await.head.contains("content-type: text/css"));
    let portal = "/portal/sample-kommun/parent";
    running.get(portal).await.has(&[
        "<html lang=\"en\">",
        "<label for=\"password\">",
        "autocomplete=\"current-password\"",
    ]);
    running.get(&format!("{portal}/forgot")).await.has(&["It does not work right now.", "role=\"alert\""]);
    for (path, body) in [
        (portal.to_owned(), "login_name=%3Cb%3E&password=hunter2"),
        (format!("{portal}/forgot"), "method=RESET_METHOD_EMAIL&email=kim%40example.se"),
        (format!("{portal}/new-password"), "reset_token=%22%3E%3Cb%3E&new_password=hunter2"),
    ] {
        let answer = running.post(&path, body).await;
        answer.has(&["It does not work right now."]);
        for never in ["hunter2", "<b>", "a-token-that-is-in-no-page"] {
            assert!(!answer.body.contains(never), "{never} in {path}");
        }
    }
}

#[tokio::test]
async fn the_token_of_a_link_is_read_by_the_one_script_that_the_policy_names() {
    use base64::Engine as _;
    let running = Running::start().await;
    let page = running.get("/portal/sample-kommun/parent/new-password").await;
    page.has(&["autocomplete=\"new-password\"", "location.hash", "history.replaceState", "<noscript>"]);
    let script = page.body.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, script.as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(digest).to_lowercase();
    let policies: Vec<&str> =
        page.head.lines().filter(|line| line.starts_with("content-security-policy:")).collect();
    assert_eq!(policies.len(), 1);
    assert!(policies[0].contains(&format!("script-src 'sha256-{hash}';")), "{}", policies[0]);
    for header in
        ["referrer-policy: same-origin", "x-content-type-options: nosniff", "cache-control: no-store"]
    {
        assert!(page.head.contains(header), "{header}");
    }
}

#[tokio::test]
async fn the_pages_end_with_the_service_whoever_is_connected() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let grpc = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings =
        Settings { mailbox_dir: "nowhere".into(), grpc, portals: Vec::new(), bankid: None, providers: None };
    let stop = CancellationToken::new();
    let served = tokio::spawn(Pages::serve(listener, settings, stop.clone()));
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET /mailbox HTTP/1.1\r\n").await.unwrap();
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), served).await.unwrap().unwrap();
}

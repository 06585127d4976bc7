//! URLs of PostgreSQL databases: which are taken, and what may be said about them. Text only: the driver
//! makes its options of what comes out.

/// Parameters that the driver understands.
const KNOWN: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
];

/// Parameters of libpq and of hosting services that change nothing for us: Drover has time-outs and
/// names of its own.
const IGNORED: [&str; 8] = [
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "pgbouncer",
    "pool_mode",
];

/// Why a text is no URL that we take. Its words repeat nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// It begins with something else.
    #[error("must be a URL like postgres://user:password@host:5432/database")]
    Scheme,
    /// A `#`, `/` or `?` of a password would cut it.
    #[error(
        "special characters in user or password must be percent-encoded, for instance `#` as %23, `/` as \
         %2F, `?` as %3F"
    )]
    Unencoded,
    /// A parameter that nobody knows; its name.
    #[error("unknown parameter `{0}`")]
    Parameter(String),
    /// The driver does not take it.
    #[error(
        "is not a valid connection URL: look at the port, at sslmode, and at characters that must be \
         percent-encoded"
    )]
    Driver,
}

/// What of a URL goes to the driver.
///
/// # Errors
/// See [`UrlProblem`].
pub fn for_driver(text: &str) -> Result<String, UrlProblem> {
    let text = text.trim();
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err(UrlProblem::Scheme);
    }
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let path = address.splitn(4, '/').nth(3).unwrap_or_default();
    if text.contains('#') || path.contains('@') || query.contains('@') {
        return Err(UrlProblem::Unencoded);
    }
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        if KNOWN.contains(&name) || name.starts_with("options[") {
            kept.push(pair);
        } else if !IGNORED.contains(&name) {
            return Err(UrlProblem::Parameter(name.to_owned()));
        }
    }
    Ok(match kept.is_empty() {
        true => address.to_owned(),
        false => format!("{address}?{}", kept.join("&")),
    })
}

/// Whether a text is a connection URL with a password in it.
pub fn holds_password(text: &str) -> bool {
    let Some(at) = ["postgres://", "postgresql://"]
        .iter()
        .find_map(|scheme| text.find(scheme))
    else {
        return false;
    };
    let rest = text[at..].split_once("://").map_or("", |(_, rest)| rest);
    let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
    let has_password = user
        .split_once(':')
        .is_some_and(|(_, password)| !password.is_empty());
    has_password
        || rest.split(['?', '&']).skip(1).any(|pair| {
            pair.strip_prefix("password=")
                .is_some_and(|password| !password.is_empty())
        })
}

//! Logins by SASL's DIGEST-MD5: the JAAS file that `java.security.auth.login.config` names, and what the `sasl` keys make of it.

use std::collections::BTreeMap;

use security::{Jaas, LoginModule};

use super::error::Problem;
use super::raw::Raw;
use super::{Notice, ReadFile, Secret};

const FILE: &str = "java.security.auth.login.config";
const SASL_PROVIDER: &str = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider";
const DIGEST_MODULE: &str = "org.apache.zookeeper.server.auth.DigestLoginModule";

/// How clients log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslSettings {
    /// Ids of the scheme `sasl` are taken in ACLs: an `authProvider` says so.
    pub provider: bool,
    /// Users and their passwords; none if no section of the JAAS file is for clients.
    pub users: Option<BTreeMap<String, Secret>>,
    /// `zookeeper.superUser`: the user who may do everything.
    pub super_user: Option<String>,
    /// `zookeeper.letAnySaslUserDoX`: the id in ACLs that every user matches.
    pub any_user: Option<String>,
    /// `zookeeper.sessionRequireClientSASLAuth`: who does not log in is closed.
    pub required: bool,
    /// `zookeeper.allowSaslFailedClients`: who fails to log in goes on.
    pub failed_go_on: bool,
}

/// How servers log in to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumSasl {
    /// `quorum.auth.serverRequireSasl`: who does not log in is closed.
    pub server_required: bool,
    /// Who may log in here: users and passwords.
    pub users: BTreeMap<String, Secret>,
    /// As whom this server logs in to others, if it does (`quorum.auth.learnerRequireSasl`): user and password.
    pub learner: Option<(String, Secret)>,
}

/// The JAAS file, if one is named.
pub(super) struct LoginFile {
    path: String,
    jaas: Jaas,
}

/// As whom a client logs in: user and password, by the section of the JAAS file that `zookeeper.sasl.clientconfig` names (`Client`). `None`
/// without a file, if `zookeeper.sasl.client` is false, and, with a word in `notices`, without the section.
///
/// # Errors
/// In words.
pub fn client_login(
    get: &dyn Fn(&str) -> Option<String>,
    read: ReadFile<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Option<(String, Secret)>, String> {
    let Some(path) = get(FILE) else { return Ok(None) };
    if get("zookeeper.sasl.client").is_some_and(|value| !value.trim().eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let told = |problem: Problem| problem.at(FILE).to_string();
    let file = LoginFile::open(path, read).map_err(told)?;
    let section = get("zookeeper.sasl.clientconfig").unwrap_or_else(|| "Client".to_owned());
    let credentials = file.credentials(&section).map_err(told)?;
    if credentials.is_none() {
        let text = format!(
            "SASL configuration failed. Will continue connection to Zookeeper server without SASL authentication, if Zookeeper \
             server allows it. No JAAS configuration section named '{section}' was found in '{}'.",
            file.path
        );
        notices.push(Notice::warn("org.apache.zookeeper.ClientCnxn", text));
    }
    Ok(credentials)
}

impl LoginFile {
    pub(super) fn read(raw: &Raw, read: ReadFile<'_>) -> Result<Option<Self>, Problem> {
        raw.text(FILE).map(|path| Self::open(path, read)).transpose()
    }

    fn open(path: String, read: ReadFile<'_>) -> Result<Self, Problem> {
        let bytes = read(&path).map_err(|error| Problem::unreadable(&path, &error))?;
        let jaas = Jaas::parse(&String::from_utf8_lossy(&bytes));
        let jaas = jaas.map_err(|error| Problem::config(format!("{path}: {error}")))?;
        Ok(Self { path, jaas })
    }

    /// As whom a section logs in.
    fn credentials(&self, section: &str) -> Result<Option<(String, Secret)>, Problem> {
        let Some(module) = self.module(section)? else { return Ok(None) };
        let option = |name: &str| {
            let value = module.option(name).map(str::to_owned);
            value.ok_or_else(|| Problem::config(format!("{}: {section}: {name} is not set", self.path)))
        };
        Ok(Some((option("username")?, Secret(option("password")?))))
    }

    /// The module of a section that logs in by a password; `None` without the section.
    fn module(&self, section: &str) -> Result<Option<&LoginModule>, Problem> {
        let Some(modules) = self.jaas.section(section) else { return Ok(None) };
        match modules {
            [module] if module.class == DIGEST_MODULE => Ok(Some(module)),
            [module] => Err(Problem::config(format!(
                "{}: {section}: {} is not served, {DIGEST_MODULE} is (Kerberos is not served yet)",
                self.path, module.class
            ))),
            _ => Err(Problem::config(format!(
                "{}: {section}: one login module is served, not {}",
                self.path,
                modules.len()
            ))),
        }
    }

    /// The users of a section, `user_NAME="password"`.
    pub(super) fn users(&self, section: &str) -> Result<Option<BTreeMap<String, Secret>>, Problem> {
        let module = self.module(section)?;
        Ok(module.map(|module| {
            let users = module.options.iter().filter_map(|(name, value)| Some((name.strip_prefix("user_")?, value)));
            users.map(|(name, password)| (name.to_owned(), Secret(password.clone()))).collect()
        }))
    }
}

/// How clients log in (`ServerCnxnFactory.configureSaslLogin`, `SaslServerCallbackHandler`).
pub(super) fn clients(raw: &Raw, file: Option<&LoginFile>) -> Result<SaslSettings, Problem> {
    const REQUIRED: &str = "zookeeper.sessionRequireClientSASLAuth";
    let section = raw.text("zookeeper.sasl.serverconfig").unwrap_or_default();
    let mut users = file.map(|file| file.users(&section)).transpose()?.flatten();
    let super_user = users.as_mut().and_then(|users| users.get_mut("super"));
    if let (Some(password), Some(own)) = (raw.text("zookeeper.SASLAuthenticationProvider.superPassword"), super_user) {
        *own = Secret(password);
    }
    let required = raw.boolean(REQUIRED)?;
    if required && users.is_none() {
        return Err(Problem::config(format!(
            "{REQUIRED}=true: no client could log in, as {FILE} names no file with a section {section}"
        )));
    }
    Ok(SaslSettings {
        provider: raw.provides(SASL_PROVIDER),
        users,
        super_user: raw.text("zookeeper.superUser"),
        any_user: raw.text("zookeeper.letAnySaslUserDoX"),
        required,
        failed_go_on: raw.boolean("zookeeper.allowSaslFailedClients")?,
    })
}

/// How servers log in to each other (`quorum.auth.enableSasl`), if they do. Both sections of the JAAS file must be there, as in the
/// original.
pub(super) fn quorum(raw: &Raw, file: Option<&LoginFile>) -> Result<Option<QuorumSasl>, Problem> {
    if !raw.boolean("quorum.auth.enableSasl")? {
        return Ok(None);
    }
    let missing = |section: &str| {
        Problem::config(format!(
            "quorum.auth.enableSasl=true: the JAAS configuration section '{section}' could not be found ({FILE} names the file)"
        ))
    };
    let file = file.ok_or_else(|| missing("QuorumServer"))?;
    let [server, learner] =
        ["server", "learner"].map(|side| raw.text(&format!("quorum.auth.{side}.saslLoginContext")).unwrap_or_default());
    let users = file.users(&server)?.ok_or_else(|| missing(&server))?;
    let credentials = file.credentials(&learner)?.ok_or_else(|| missing(&learner))?;
    let learner = raw.boolean("quorum.auth.learnerRequireSasl")?.then_some(credentials);
    Ok(Some(QuorumSasl { server_required: raw.boolean("quorum.auth.serverRequireSasl")?, users, learner }))
}

/// A server that is started without a file can't be told of one more.
pub(super) fn refuse_without_file(raw: &Raw) -> Result<(), Problem> {
    match raw.text(FILE) {
        Some(path) => Err(Problem::config(format!("{FILE}={path}: logins need a zoo.cfg: start the server with one"))),
        None => Ok(()),
    }
}

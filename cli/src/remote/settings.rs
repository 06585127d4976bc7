//! What flags and environment say about the controllers.

use std::path::PathBuf;
use std::time::Duration;

use proto::runtime::channel::{Address, ClientTls};
use proto::runtime::settings::Environment;
use tonic::metadata::{Ascii, MetadataValue};
use uuid::Uuid;

use crate::actor;
use crate::args::{ControllerArgs, GlobalArgs};
use crate::stop::Stop;

/// Port of an address that names none.
pub const PORT: u16 = 7420;
/// Where controllers are unless somebody says otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7420";
/// How long a watch looks for a controller once it has lost one.
const LOOK_FOR: Duration = Duration::from_secs(600);

/// How controllers are reached, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// At least one.
    pub addresses: Vec<Address>,
    /// What is trusted and shown; none: TLS only where an address asks for it.
    pub tls: Option<ClientTls>,
    /// How long a call may take, retries included.
    pub timeout: Duration,
    /// How long a lost stream is opened again.
    pub look_for: Duration,
    /// The same for every try of a command.
    pub request_id: Uuid,
    /// Who asks.
    pub actor: MetadataValue<Ascii>,
    /// Say on stderr what is asked.
    pub is_verbose: bool,
}

impl Settings {
    /// Flags before environment before defaults.
    pub fn of(args: &GlobalArgs, environment: &Environment) -> Result<Self, Stop> {
        let controller = &args.controller;
        let (place, texts): (&str, Vec<&str>) = match environment.get("DROVER_ADDRESS") {
            _ if !controller.address.is_empty() => (
                "--address",
                controller.address.iter().map(String::as_str).collect(),
            ),
            Some(list) => ("DROVER_ADDRESS", list.split(',').collect()),
            None => ("--address", vec![DEFAULT_ADDRESS]),
        };
        let addresses = addresses(&texts).map_err(|why| Stop::usage(format!("{place}: {why}")))?;
        Ok(Self {
            addresses,
            tls: tls(controller, environment)?,
            timeout: controller.timeout,
            look_for: LOOK_FOR,
            request_id: controller.request_id.unwrap_or_else(Uuid::new_v4),
            actor: header(&actor::name(environment)),
            is_verbose: args.verbose,
        })
    }
}

/// Every address of a list once, and at least one.
fn addresses(texts: &[&str]) -> Result<Vec<Address>, String> {
    let mut all: Vec<Address> = Vec::new();
    for text in texts.iter().filter(|text| !text.trim().is_empty()) {
        let address = Address::parse(text, PORT).map_err(|why| format!("`{text}`: {why}"))?;
        if !all.contains(&address) {
            all.push(address);
        }
    }
    match all.is_empty() {
        true => Err("names no address".to_owned()),
        false => Ok(all),
    }
}

/// Flags before environment; none where nothing of TLS is named.
fn tls(args: &ControllerArgs, environment: &Environment) -> Result<Option<ClientTls>, Stop> {
    let path = |flag: &Option<PathBuf>, name: &str| {
        let named = environment.get(name).map(PathBuf::from);
        flag.clone().or(named)
    };
    let ca = path(&args.tls_ca, "DROVER_TLS_CA");
    let certificate = path(&args.tls_cert, "DROVER_TLS_CERT");
    let key = path(&args.tls_key, "DROVER_TLS_KEY");
    let server_name = args
        .tls_server_name
        .as_deref()
        .or_else(|| environment.get("DROVER_TLS_SERVER_NAME"));
    if ca.is_none() && certificate.is_none() && key.is_none() && server_name.is_none() {
        return Ok(None);
    }
    let identity = (certificate.as_deref(), key.as_deref());
    ClientTls::load(ca.as_deref(), identity, server_name)
        .map(Some)
        .map_err(|error| Stop::usage(format!("TLS: {error}")))
}

/// A text as a header: what a header cannot hold becomes `?`.
fn header(text: &str) -> MetadataValue<Ascii> {
    let plain: String = text
        .chars()
        .map(|letter| match letter {
            ' '..='~' => letter,
            _ => '?',
        })
        .collect();
    MetadataValue::try_from(plain.as_str())
        .unwrap_or_else(|_| MetadataValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    fn settings(line: &str, variables: &[(&str, &str)]) -> Result<Settings, Stop> {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        Settings::of(
            &cli.global,
            &Environment::from_iter(variables.iter().copied()),
        )
    }

    fn names(settings: &Settings) -> Vec<String> {
        settings.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_default() {
        let list = "drover migration list";
        let here = settings(list, &[]).unwrap();
        assert_eq!(names(&here), ["127.0.0.1:7420"]);
        let variable = [("DROVER_ADDRESS", "a,b:1")];
        assert_eq!(
            names(&settings(list, &variable).unwrap()),
            ["a:7420", "b:1"]
        );
        let flag = settings(&format!("{list} --address c,d --address e"), &variable).unwrap();
        assert_eq!(names(&flag), ["c:7420", "d:7420", "e:7420"]);
    }

    #[test]
    fn a_bad_address_is_named_with_its_place() {
        let stop = settings("drover migration list", &[("DROVER_ADDRESS", "a,ftp://b")]);
        let stop = stop.unwrap_err();
        assert_eq!(stop.code().number(), 2);
        assert!(stop.message().starts_with("DROVER_ADDRESS: `ftp://b`"));
    }

    #[test]
    fn each_command_has_its_own_request_id_unless_one_is_given() {
        let line = "drover migration list";
        let fresh = |_| settings(line, &[]).unwrap().request_id;
        assert_ne!(fresh(1), fresh(2));
        let id = "019394c2-5b1e-7d3a-9c55-6f1f0a2b8e44";
        let given = settings(&format!("{line} --request-id {id}"), &[]).unwrap();
        assert_eq!(given.request_id.to_string(), id);
    }

    #[test]
    fn an_address_stands_once_in_a_list_that_is_never_empty() {
        let list = addresses(&["a", "b:1", "", "a:7420"]).unwrap();
        assert_eq!(list.len(), 2);
        assert!(addresses(&["", " "]).is_err());
    }

    #[test]
    fn tls_is_set_up_where_something_of_it_is_named_and_fits() {
        let line = "drover migration list";
        assert!(settings(line, &[]).unwrap().tls.is_none());
        let named = settings(&format!("{line} --tls-server-name drover"), &[]);
        assert!(named.unwrap().tls.is_some());
        let half = settings(line, &[("DROVER_TLS_CERT", "cert.pem")]).unwrap_err();
        assert!(half.message().contains("belong together"));
        let missing = settings(&format!("{line} --tls-ca /nowhere/ca.pem"), &[]);
        assert_eq!(missing.unwrap_err().code().number(), 2);
    }

    #[test]
    fn an_actor_is_always_a_header() {
        assert_eq!(header("zażółć@host\n").to_str().unwrap(), "za????@host?");
    }
}

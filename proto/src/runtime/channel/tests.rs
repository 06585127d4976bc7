//! Addresses, handshakes with and without certificates, and what is not trusted.

use std::path::Path;
use std::process::Command;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;

use super::*;

#[test]
fn an_address_is_a_host_and_may_have_port_and_scheme() {
    for (text, shown, tls) in [
        ("127.0.0.1:7420", "127.0.0.1:7420", None),
        ("controller", "controller:99", None),
        (" eu.example.com:80 ", "eu.example.com:80", None),
        ("[::1]", "[::1]:99", None),
        ("[::1]:9", "[::1]:9", None),
        ("http://a:1/", "a:1", Some(false)),
        ("https://a", "a:99", Some(true)),
    ] {
        let address = Address::parse(text, 99).unwrap();
        assert_eq!(
            (address.to_string().as_str(), address.tls()),
            (shown, tls),
            "{text}"
        );
    }
    for text in [
        "", "a:", "a:99999", "a:b", "ftp://a", "me@a:1", "a/b", "a b", "https://",
    ] {
        assert!(Address::parse(text, 99).is_err(), "{text}");
    }
}

#[test]
fn the_scheme_decides_about_tls_and_without_one_the_certificates_do() {
    let uri = |text: &str, tls: Option<&ClientTls>| {
        let address = Address::parse(text, 1).unwrap();
        endpoint(&address, tls).unwrap().uri().to_string()
    };
    let tls = ClientTls::default();
    assert_eq!(uri("a", None), "http://a:1/");
    assert_eq!(uri("a", Some(&tls)), "https://a:1/");
    assert_eq!(uri("http://a", Some(&tls)), "http://a:1/");
    assert_eq!(uri("https://a", None), "https://a:1/");
}

/// A root and a certificate for `localhost` that it signed, in a folder.
fn certificates(folder: &Path) {
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
         -days 2 -subj /CN=root -addext basicConstraints=critical,CA:TRUE && \
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout one.key -out one.csr -subj /CN=one && \
         printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > ext && \
         openssl x509 -req -in one.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out one.pem";
    let made = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
}

/// A server without services; it ends with the test.
async fn listen(tls: Option<&ServerTls>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = server("127.0.0.1:0", ServerLimits::default(), tls).unwrap();
    let router = server.add_routes(Routes::default());
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    port
}

#[tokio::test]
async fn a_plain_server_is_reached_and_a_closed_port_is_named() {
    let port = listen(None).await;
    let address = Address::parse(&format!("127.0.0.1:{port}"), 1).unwrap();
    connect(&address, None).await.unwrap();

    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let refused = connect(&Address::parse(&closed, 1).unwrap(), None).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        format!("connect to {closed}")
    );
}

#[tokio::test]
async fn both_ends_show_certificates_and_an_unknown_root_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name);
    let (ca, pem, key) = (file("ca.pem"), file("one.pem"), file("one.key"));
    let server = ServerTls::load(&pem, &key, Some(&ca)).unwrap();
    let port = listen(Some(&server)).await;
    let address = Address::parse(&format!("127.0.0.1:{port}"), 1).unwrap();
    let load = |identity| ClientTls::load(Some(&ca), identity, Some("localhost")).unwrap();

    let known = load((Some(&pem), Some(&key)));
    connect(&address, Some(&known)).await.unwrap();
    let misnamed = ClientTls {
        server_name: None,
        ..known.clone()
    };
    assert!(connect(&address, Some(&misnamed)).await.is_err());
    let untrusting = ClientTls { ca: None, ..known };
    assert!(connect(&address, Some(&untrusting)).await.is_err());
}

#[test]
fn files_that_are_of_no_use_are_named_and_keys_are_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name);
    let (ca, pem, key) = (file("ca.pem"), file("one.pem"), file("one.key"));
    let gone = ServerTls::load(&file("gone.pem"), &key, None).unwrap_err();
    assert!(gone.to_string().contains("gone.pem"));
    let swapped = ServerTls::load(&key, &pem, None).unwrap_err();
    assert!(matches!(swapped, TlsError::NoCertificate(_)), "{swapped}");
    let unfit = ServerTls::load(&pem, &file("ca.key"), None).unwrap_err();
    assert!(matches!(unfit, TlsError::Unfit(_)), "{unfit}");
    let half = ClientTls::load(Some(&ca), (Some(&pem), None), None).unwrap_err();
    assert!(matches!(half, TlsError::Half));
    let client = ClientTls::load(Some(&ca), (Some(&pem), Some(&key)), None).unwrap();
    let server = ServerTls::load(&pem, &key, Some(&ca)).unwrap();
    let shown = format!("{client:?} {server:?}");
    assert_eq!(
        shown,
        "ClientTls { ca: true, identity: true, server_name: None } ServerTls { client_ca: true, .. }"
    );
}

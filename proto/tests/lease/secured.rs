//! An etcd behind TLS that asks for the client's certificate.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use proto::lease::{EtcdTls, LeaseError, LeaseStore};

use crate::contract::{agent, led, partition, to};
use crate::support::etcd::Etcd;
use crate::world::{open, short};

/// Makes an authority, and certificates of it for a server and a client.
fn make_certificates(folder: &Path) {
    let script = r#"
        set -e
        new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -subj "/CN=$1" "${@:2}"; }
        new ca -x509 -days 2 -out ca.pem
        for name in server client; do
            new $name -out $name.csr
            printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' > extensions
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out $name.pem
        done
    "#;
    let made = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .expect("a shell is there");
    let errors = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{errors}");
}

#[tokio::test]
async fn certificates_are_passed_on_and_without_them_nobody_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let server = Etcd::start_secured(folder.path().to_owned()).await;
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let mut settings = short(&server.endpoint());
    settings.tls = Some(EtcdTls {
        ca: Some(read("ca.pem")),
        identity: Some((read("client.pem"), read("client.key"))),
        domain: None,
    });
    let store = open(&settings);
    let leader = led(&*store).await;
    let one = store.join(agent(1)).await.unwrap();
    store.assign(&leader, partition(1), to(1, 1)).await.unwrap();
    assert!(store.claim(&one, partition(1), 1).await.unwrap() > 0);

    settings.retry_within = Duration::from_secs(1);
    let trusted = settings.tls.take().unwrap();
    for tls in [
        // No certificate of its own; an authority that it does not know.
        Some(EtcdTls {
            identity: None,
            ..trusted.clone()
        }),
        Some(EtcdTls {
            ca: None,
            ..trusted
        }),
        None,
    ] {
        settings.tls = tls;
        let refused = open(&settings).agents().await;
        assert!(
            matches!(refused, Err(LeaseError::Unavailable { .. })),
            "{refused:?}"
        );
    }
}

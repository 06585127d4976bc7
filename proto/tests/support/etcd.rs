//! A private etcd, of one member or more, that can be killed, frozen, restarted and emptied.
//!
//! It ends with the test process, however that ends: a small shell waits for its standard input to
//! close, then kills the server and removes its data.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// One member of an etcd cluster.
pub struct Etcd {
    name: String,
    client_port: u16,
    peer_port: u16,
    dir: PathBuf,
    initial_cluster: String,
    /// Two clusters that happen on the same ports must not take each other for their own.
    token: Uuid,
    /// Folder of `ca.pem`, `server.pem` and `server.key`, where clients must come with a certificate.
    certificates: Option<PathBuf>,
    health_port: u16,
    running: Option<Running>,
}

struct Running {
    watcher: Child,
    pid: u32,
}

impl Etcd {
    /// A cluster of one.
    pub async fn start() -> Self {
        Self::start_cluster(1).await.remove(0)
    }

    /// A cluster of one that takes only clients with a certificate of its authority.
    pub async fn start_secured(certificates: PathBuf) -> Self {
        Self::start_members(1, Some(certificates)).await.remove(0)
    }

    /// A cluster of several members, ready when this returns.
    pub async fn start_cluster(size: usize) -> Vec<Self> {
        Self::start_members(size, None).await
    }

    async fn start_members(size: usize, certificates: Option<PathBuf>) -> Vec<Self> {
        let ports = free_ports(3 * size);
        let name = |at: usize| format!("m{at}");
        let token = Uuid::new_v4();
        let peers: Vec<String> = (0..size)
            .map(|at| format!("{}=http://127.0.0.1:{}", name(at), ports[size + at]))
            .collect();
        let mut members: Vec<Self> = (0..size)
            .map(|at| Self {
                name: name(at),
                client_port: ports[at],
                peer_port: ports[size + at],
                dir: std::env::temp_dir().join(format!("drover-etcd-{}", Uuid::new_v4())),
                initial_cluster: peers.join(","),
                token,
                certificates: certificates.clone(),
                health_port: ports[2 * size + at],
                running: None,
            })
            .collect();
        members.iter_mut().for_each(Self::spawn);
        for member in &members {
            member.ready().await;
        }
        members
    }

    /// Where clients reach it.
    pub fn endpoint(&self) -> String {
        let scheme = match self.certificates {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://127.0.0.1:{}", self.client_port)
    }

    /// Kills it (SIGKILL) and keeps its data.
    pub fn kill(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        let mut stdin = running.watcher.stdin.take().expect("it was piped");
        stdin.write_all(b"keep\n").expect("the shell reads");
        drop(stdin);
        running.watcher.wait().expect("the shell ends");
    }

    /// Starts it again on the same ports with the data it has; ready when this returns.
    pub async fn restart(&mut self) {
        self.kill();
        self.spawn();
        self.ready().await;
    }

    /// Kills it and removes its data; the next start is a new, empty server.
    pub fn wipe(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.dir).expect("its data is there");
    }

    /// Stops it in its tracks (SIGSTOP): connections stay open, nothing answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Ends a [`Etcd::freeze`].
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.running.as_ref().expect("it runs").pid.to_string();
        let done = Command::new("kill").args([signal, &pid]).status();
        assert!(done.expect("kill is there").success());
    }

    fn spawn(&mut self) {
        let (client, peer) = (
            self.endpoint(),
            format!("http://127.0.0.1:{}", self.peer_port),
        );
        let (dir, name) = (self.dir.display(), &self.name);
        let (cluster, token) = (&self.initial_cluster, &self.token);
        let health = self.health_port;
        let security = match &self.certificates {
            Some(folder) => format!(
                "--client-cert-auth --trusted-ca-file {0}/ca.pem --cert-file {0}/server.pem --key-file {0}/server.key",
                folder.display()
            ),
            None => String::new(),
        };
        let script = format!(
            r#"etcd --name {name} --data-dir {dir} \
                --listen-client-urls {client} --advertise-client-urls {client} \
                --listen-peer-urls {peer} --initial-advertise-peer-urls {peer} \
                --initial-cluster {cluster} --initial-cluster-token {token} \
                --listen-metrics-urls http://127.0.0.1:{health} {security} \
                --heartbeat-interval 50 --election-timeout 500 >{dir}.log 2>&1 </dev/null &
            pid=$!
            echo $pid
            read -r verb || verb=remove
            kill -KILL $pid
            wait $pid 2>/dev/null
            [ "$verb" = keep ] || rm -rf {dir} {dir}.log"#
        );
        let mut watcher = Command::new("setsid")
            .args(["sh", "-c", &script])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell is there");
        let mut line = String::new();
        let stdout = watcher.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let pid = line.trim().parse().expect("the number of a process");
        self.running = Some(Running { watcher, pid });
    }

    /// Waits until it says that it is healthy, which it does once it has a leader.
    async fn ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.is_healthy() {
            assert!(Instant::now() < deadline, "etcd did not start in time");
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn is_healthy(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.health_port)) else {
            return false;
        };
        let wait = Some(Duration::from_millis(500));
        stream.set_read_timeout(wait).expect("a duration");
        let request = b"GET /health HTTP/1.0\r\n\r\n";
        let mut answer = String::new();
        stream.write_all(request).is_ok()
            && std::io::Read::read_to_string(&mut stream, &mut answer).is_ok()
            && answer.contains("\"true\"")
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
        let _ = std::fs::remove_file(self.dir.with_extension("log"));
    }
}

/// Ports that nobody listens on at this moment.
pub fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().expect("it is bound").port())
        .collect()
}

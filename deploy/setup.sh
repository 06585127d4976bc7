#!/bin/sh
# Makes sure that what Drover's demo and tests need is on this machine: a PostgreSQL server (initdb, postgres, uuid-ossp),
# etcd and protoc; and looks for a Rust toolchain, which it does not install. Called by the Makefile and .ci/run before
# anything is built. With everything there it does nothing. On Debian and Ubuntu it installs what is missing, as root or
# through sudo; elsewhere it says what to install and exits with 1. It installs programs only: no database cluster
# is created and no service is started or enabled, since Drover starts private servers of its own.
#
#   deploy/setup.sh [clients]      clients: also what deploy/clients.sh needs, node with npm and python3 with venv
set -eu
clients=no
[ "${1:-}" != clients ] || clients=yes

say() { echo "setup: $*" >&2; }

# --- what is there ---------------------------------------------------------------------------------------------------

# The directory of a PostgreSQL server's programs; distributions keep them outside PATH.
postgres_bin() {
    for dir in "${DROVER_POSTGRES_BIN:-}" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin \
        /usr/local/opt/postgresql*/bin /usr/local/pgsql/bin; do
        if [ -n "$dir" ] && [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
            echo "$dir"
            return 0
        fi
    done
    if command -v initdb >/dev/null && command -v postgres >/dev/null; then
        dirname "$(command -v initdb)"
        return 0
    fi
    return 1
}

# Fedora packages the extensions apart from the server; Debian and brew do not.
have_postgres() {
    postgres_bin >/dev/null || return 1
    [ ! -d /usr/share/pgsql ] || [ -e /usr/share/pgsql/extension/uuid-ossp.control ]
}

have_etcd() { command -v etcd >/dev/null; }

# protoc without its well-known types (a package of its own on Debian and Fedora) cannot build our .proto files.
have_protoc() {
    command -v protoc >/dev/null || return 1
    tmp=$(mktemp -d) || return 1
    printf 'syntax = "proto3";\nimport "google/protobuf/timestamp.proto";\nmessage M { google.protobuf.Timestamp t = 1; }\n' \
        >"$tmp/probe.proto"
    ok=0
    protoc -I"$tmp" --descriptor_set_out="$tmp/probe.bin" "$tmp/probe.proto" >/dev/null 2>&1 || ok=1
    rm -rf "$tmp"
    return $ok
}

# The oldest that the clients' packages work with; a node that somebody installed need not come with Debian's npm.
have_node() {
    command -v npm >/dev/null && command -v node >/dev/null &&
        node -e 'const [a, b] = process.versions.node.split("."); process.exit(+a > 18 || (+a === 18 && +b >= 14) ? 0 : 1)'
}

# Debian packages the part of venv that installs pip apart.
have_python() {
    command -v python3 >/dev/null &&
        python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

look() {
    missing=
    have_postgres || missing="$missing postgres"
    have_etcd || missing="$missing etcd"
    have_protoc || missing="$missing protoc"
    [ $clients = yes ] || return 0
    have_node || missing="$missing node"
    have_python || missing="$missing python"
}

# --- Rust: wanted, not installed ----------------------------------------------------------------------------------------

rust_hint() {
    say "$1"
    if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        say "there is one in ${CARGO_HOME:-$HOME/.cargo}/bin: put that directory on PATH and try again"
    else
        say "install a current stable toolchain with rustup (https://rustup.rs), then try again"
    fi
    exit 1
}

check_rust() {
    command -v cargo >/dev/null || rust_hint "no Rust toolchain: cargo is not on PATH"
    wanted=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$(dirname "$0")/../Cargo.toml" | head -n 1)
    found=$(cargo --version | awk '{ print $2 }')
    awk -v f="$found" -v w="$wanted" 'BEGIN {
        split(f, a, "."); split(w, b, ".");
        exit !(a[1] > b[1] || (a[1] == b[1] && a[2] + 0 >= b[2] + 0)) }' ||
        rust_hint "the Rust toolchain is $found, $wanted or newer is needed"
}

# --- what to do about what is missing ---------------------------------------------------------------------------------

# $1: why we do not install it ourselves
give_up() {
    say "missing:$missing; $1. Please install:"
    say "  Debian, Ubuntu: apt-get install postgresql etcd-server protobuf-compiler libprotobuf-dev"
    say "  Fedora:         dnf install postgresql-server postgresql-contrib etcd protobuf-compiler protobuf-devel"
    say "  macOS:          brew install postgresql@17 etcd protobuf"
    [ $clients = no ] || say "  and for the clients node >= 18.14 with npm, python3 >= 3.10 with venv (nodejs, npm, python3-venv)"
    say "No server needs to run. If PostgreSQL is in an unusual place, name its bin directory in DROVER_POSTGRES_BIN."
    exit 1
}

known_to_apt() { apt-cache show "$1" 2>/dev/null | grep -q '^Package:'; }

# Runs as root. Two files stand only while apt-get works: they keep Debian from creating a "main" cluster and from
# starting the services that come with the packages. Files that the administrator put there are left as they are.
apt_install() {
    # shellcheck disable=SC2016
    $as_root env DEBIAN_FRONTEND=noninteractive sh -eu -c '
        policy=/usr/sbin/policy-rc.d
        cluster=/etc/postgresql-common/createcluster.d/drover-setup.conf
        made=
        trap "rm -f \$made" EXIT
        trap "exit 1" HUP INT TERM
        if [ ! -e "$policy" ]; then
            made="$made $policy"
            printf "#!/bin/sh\nexit 101\n" >"$policy"
            chmod 755 "$policy"
        fi
        # etcd would start at the next boot: where we bring it, we leave it off
        etcd_is_new=no
        case " $* " in *" etcd"*) [ -e /etc/default/etcd ] || [ -e /var/lib/etcd ] || etcd_is_new=yes ;; esac
        apt="apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300"
        case " $* " in *" postgresql "*)
            $apt postgresql-common
            if [ ! -e "$cluster" ]; then
                mkdir -p "${cluster%/*}"
                made="$made $cluster"
                echo "create_main_cluster = false" >"$cluster"
            fi ;;
        esac
        $apt "$@"
        if [ "$etcd_is_new" = yes ]; then update-rc.d etcd disable >/dev/null 2>&1 || true; fi
    ' apt_install "$@" >&2
}

install_missing() {
    command -v apt-get >/dev/null || give_up "this is neither Debian nor Ubuntu"
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as_root=sudo
    else
        give_up "installing needs root or sudo"
    fi

    wanted_packages() {
        packages=
        for what in $missing; do
            case $what in
            postgres) packages="$packages postgresql" ;;
            etcd) if known_to_apt etcd-server; then packages="$packages etcd-server"; else packages="$packages etcd"; fi ;;
            protoc) packages="$packages protobuf-compiler libprotobuf-dev" ;;
            node) packages="$packages nodejs$(command -v npm >/dev/null || echo ' npm')" ;;
            python) packages="$packages python3 python3-venv" ;;
            esac
        done
    }
    wanted_packages
    unknown=no
    for package in $packages; do known_to_apt "$package" || unknown=yes; done
    if [ "$unknown" = yes ]; then
        say "fetching the package lists (apt-get update)"
        $as_root apt-get update -q >&2
        wanted_packages
    fi

    say "missing:$missing; installing with apt-get:$packages"
    # shellcheck disable=SC2086
    if ! apt_install $packages; then
        say "fetching the package lists (apt-get update), then trying once more"
        $as_root apt-get update -q >&2
        # shellcheck disable=SC2086
        apt_install $packages
    fi
    look
    [ -z "$missing" ] || give_up "apt-get finished, yet they are not there"
    say "done"
}

check_rust
look
[ -z "$missing" ] || install_missing

#!/bin/sh
# Makes the example clients of tests/clients ready: buf, its plugins and what the clients need from npm and PyPI, in the
# versions that package-lock.json and requirements.txt pin; their code generated from proto/ by buf; the TypeScript
# compiled. All of it goes to ${CARGO_TARGET_DIR:-target}/clients, whose path is the only line on standard output:
#
#   python/bin/python3, python/gen    typescript/node_modules/.bin/buf, typescript/gen, typescript/dist
#
# What is there in its version is left alone, so a second call takes no time and no network. Needs node, npm and
# python3 with venv: deploy/setup.sh clients.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
mkdir -p "${CARGO_TARGET_DIR:-target}/clients"
home=$(cd "${CARGO_TARGET_DIR:-target}/clients" && pwd)

say() { echo "clients: $*" >&2; }

# One at a time, where there is a flock.
exec 9>"$home/lock"
if command -v flock >/dev/null; then flock 9; fi

# --- what is wanted, what is there --------------------------------------------------------------------------------------

# Files and words in, one line out: their fingerprint.
fingerprint() {
    for file in "$@"; do cksum "$file"; done | cksum
}

# A step is done when its stamp holds what it was made from; it is written last.
is_done() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

need() {
    command -v "$1" >/dev/null && return 0
    say "no $1: sh deploy/setup.sh clients"
    exit 1
}

need node
need npm
need python3
node_wanted="$(node --version) $(fingerprint tests/clients/typescript/package.json \
    tests/clients/typescript/package-lock.json tests/clients/typescript/.npmrc)"
python_wanted="$(python3 --version) $home $(fingerprint tests/clients/python/requirements.txt)"
sources=$(find proto tests/clients deploy/clients.sh -type f \( -name '*.proto' -o -name '*.yaml' -o -name '*.sh' \
    -o -path 'tests/clients/*' \) ! -path '*/node_modules/*' ! -path '*/__pycache__/*' | sort)
# shellcheck disable=SC2086
code_wanted="$node_wanted $python_wanted $(fingerprint $sources)"

# --- from npm and PyPI --------------------------------------------------------------------------------------------------

install_node() {
    say "installing the packages of tests/clients/typescript/package-lock.json from npm"
    rm -rf "$home/.generated" "$home/typescript"
    mkdir -p "$home/typescript"
    for file in package.json package-lock.json .npmrc; do
        cp "tests/clients/typescript/$file" "$home/typescript/"
    done
    (cd "$home/typescript" && npm ci --loglevel=error) >&2
    echo "$node_wanted" >"$home/typescript/.installed"
}

install_python() {
    say "installing the packages of tests/clients/python/requirements.txt from PyPI"
    rm -rf "$home/.generated" "$home/python"
    if ! python3 -m venv "$home/python" >&2; then
        say "no python3 with venv: sh deploy/setup.sh clients"
        exit 1
    fi
    "$home/python/bin/python3" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        --no-deps --requirement tests/clients/python/requirements.txt >&2
    echo "$python_wanted" >"$home/python/.installed"
}

# --- from the protocol --------------------------------------------------------------------------------------------------

generate() {
    say "generating the clients from proto/"
    rm -rf "$home/.generated" "$home/gen" "$home/typescript/gen" "$home/typescript/src" "$home/typescript/dist" "$home/python/gen"
    (
        PATH=$home/typescript/node_modules/.bin:$home/python/bin:$PATH
        export PATH BUF_CACHE_DIR="$home/cache" PYTHONDONTWRITEBYTECODE=1
        cd "$root/proto"
        buf generate -o "$home/gen"
        mv "$home/gen/python" "$home/python/gen"
        mv "$home/gen/typescript" "$home/typescript/gen"
        rmdir "$home/gen"
        cp -R "$root/tests/clients/typescript/src" "$root/tests/clients/typescript/tsconfig.json" "$home/typescript/"
        cd "$home/typescript"
        npm run --silent build
    ) >&2
    echo "$code_wanted" >"$home/.generated"
}

is_done "$home/typescript/.installed" "$node_wanted" || install_node
is_done "$home/python/.installed" "$python_wanted" || install_python
is_done "$home/.generated" "$code_wanted" || generate
echo "$home"

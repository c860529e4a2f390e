#!/bin/sh
# Installs what building the page needs and this machine lacks: the wasm32 target, Trunk and
# wasm-bindgen's command. The commands go to $TOOLS, nothing outside it changes.
set -eu

TRUNK=0.21.14
WASM_BINDGEN=0.2.130 # the version in Cargo.toml: the two have to agree

if ! command -v cargo > /dev/null || ! command -v rustup > /dev/null; then
    echo "Rust is missing, or was not installed by rustup (Debian's own is too old). Install it from" >&2
    echo "https://rustup.rs, or on Debian 13 and later: apt-get install rustup. Then run this again." >&2
    exit 1
fi
if ! command -v cc > /dev/null; then
    echo "A C compiler is missing. On Debian: apt-get install build-essential" >&2
    exit 1
fi

# Asking for the version also makes rustup install the toolchain that rust-toolchain.toml names.
rustc --version > /dev/null
if ! [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown" ]; then
    echo "Installing Rust's wasm32 target (seconds)."
    rustup target add wasm32-unknown-unknown
fi

# A tool that runs for a second needs no optimisation: this builds them several times faster.
install() {
    echo "Installing $1 $2 into $TOOLS (once, about $3 minutes on two cores)."
    CARGO_PROFILE_RELEASE_LTO=false \
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install "$1" --version "$2" --root "$TOOLS" --target-dir "$TOOLS/build" --quiet $4
}

if [ "$(trunk --version 2> /dev/null)" != "trunk $TRUNK" ]; then
    install trunk "$TRUNK" 3 --locked
fi
if [ "$(wasm-bindgen --version 2> /dev/null)" != "wasm-bindgen $WASM_BINDGEN" ]; then
    # Not --locked: newer releases of its dependencies are fine, and old ones vanish from mirrors.
    install wasm-bindgen-cli "$WASM_BINDGEN" 2 ""
fi
rm -rf "$TOOLS/build"

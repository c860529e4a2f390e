#!/bin/sh
# Trunk runs this on a finished build.
set -eu
cd "$TRUNK_STAGING_DIR/app"

# A sixth of the bytes, on any host: the worker unpacks it. The name is no .gz, for which some hosts
# announce an encoding, and the browser would unpack it first.
gzip -9 -n < neural-songwriter_bg.wasm > neural-songwriter_bg.wasm.gzip
rm neural-songwriter_bg.wasm
# The progress bar needs to know, and not every host tells.
printf '{"wasm_bytes": %d}\n' "$(wc -c < neural-songwriter_bg.wasm.gzip)" > build.json

# The digest of all code goes into the name of its folder, so that a browser never pairs a cached
# script with a newer WebAssembly file.
id=$(cat ./* | sha256sum | cut -c 1-12)
cd ..
mv app "app-$id"
sed -i "s|\"app/|\"app-$id/|g" index.html

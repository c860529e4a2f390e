#!/bin/sh
# Trunk runs this on a finished build. It puts the digest of all code into the name of the folder
# that holds it, so that a browser never pairs a cached script with a newer WebAssembly file, and
# notes the size of the latter: behind a compressing host no header tells it to the progress bar.
set -eu
cd "$TRUNK_STAGING_DIR"
printf '{"wasm_bytes": %d}\n' "$(wc -c < app/neural-songwriter_bg.wasm)" > app/build.json
id=$(cat app/* | sha256sum | cut -c 1-12)
mv app "app-$id"
sed -i "s|\"app/|\"app-$id/|g" index.html

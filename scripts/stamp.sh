#!/bin/sh
# Trunk runs this on a finished build.
set -eu
cd "$TRUNK_STAGING_DIR/app"

# A sixth of the bytes, on any host: the worker unpacks it. The name is no .gz, for which some hosts
# announce an encoding, and the browser would unpack it first.
gzip -9 -n < neural-songwriter_bg.wasm > neural-songwriter_bg.wasm.gzip
rm neural-songwriter_bg.wasm
# The progress bar needs to know, and not every host tells; what is kept on a device is compared with
# the digest.
printf '{"wasm_bytes": %d, "wasm_sha256": "%s"}\n' "$(wc -c < neural-songwriter_bg.wasm.gzip)" \
    "$(sha256sum < neural-songwriter_bg.wasm.gzip | cut -c 1-64)" > build.json

# What comments say is for readers of the source; a browser needs a third less without them. Ours
# have lines of their own.
for script in *.js ../sw.js; do
    awk '
        inside { if (/\*\/ *$/) inside = 0; next }
        /^ *\/\// { next }
        /^ *\/\*\*?/ { if (!/\*\//) inside = 1; else if (!/\*\/ *$/) print; next }
        { print }
    ' "$script" > stripped
    mv stripped "$script"
done

# The digest of all code goes into the name of its folder, so that a browser never pairs a cached
# script with a newer WebAssembly file.
id=$(cat ./* | sha256sum | cut -c 1-12)
cd ..
mv app "app-$id"
sed -i "s|\"app/|\"app-$id/|g" index.html

# What the service worker keeps, and the digest of that: a browser compares nothing but sw.js to
# learn that there is a new build. The page's own worker keeps the models and the WebAssembly file.
list() {
    find . -type f ! -path './models/*' ! -name '*.gzip' ! -name '*.d.ts' ! -name '*.md' \
        ! -path ./sw.js ! -path ./index.html ! -path ./_headers | LC_ALL=C sort
}
FILES=$(list | sed 's|^\./\(.*\)$|  "\1",|')
BUILD=$( (cat sw.js index.html; list | tr '\n' '\0' | xargs -0 cat) | sha256sum | cut -c 1-12)
export APP="app-$id" BUILD FILES
awk '
    /^const BUILD = / { print "const BUILD = \"" ENVIRON["BUILD"] "\";"; stamped++; next }
    /^const APP = / { print "const APP = \"" ENVIRON["APP"] "\";"; stamped++; next }
    /^const FILES = / { print "const FILES = [\n  \"./\",\n" ENVIRON["FILES"] "\n];"; stamped++; next }
    { print }
    END { exit stamped != 3 }
' sw.js > sw.stamped
mv sw.stamped sw.js

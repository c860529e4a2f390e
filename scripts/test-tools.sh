#!/bin/sh
# Installs what the page's tests need and this machine lacks: Chromium, Node.js, npm and, beside
# the tests, the npm packages that their lock file names.
set -eu

missing=
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || missing="$missing chromium"
command -v node > /dev/null || missing="$missing nodejs"
command -v npm > /dev/null || missing="$missing npm"

if [ -n "$missing" ]; then
    if ! command -v apt-get > /dev/null; then
        echo "The page's tests need:$missing. Install them (set CHROMIUM to the browser's path if it is not /usr/bin/chromium)." >&2
        exit 1
    fi
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo > /dev/null; then
        as_root=sudo
    else
        echo "The page's tests need packages. As root: apt-get install$missing" >&2
        exit 1
    fi
    echo "Installing$missing with apt-get (a few minutes)."
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends $missing
fi

cd "$(dirname "$0")/../tests/page"
# npm leaves this note in a finished installation.
if ! [ node_modules/.package-lock.json -nt package-lock.json ]; then
    npm ci
fi

/**
 * The service worker: after one visit, the page works without a network.
 *
 * It keeps the shell, which is all of a build but the models and the compiled Rust; those the page's
 * own worker keeps as it downloads them (see app/store.js), so nothing is downloaded twice. The page
 * itself comes from the network if there is one that answers soon, so a new version is never held up
 * by an old service worker. Scripts come from the shell if it has them.
 *
 * Why a new service worker may take over at once (`skipWaiting`, `claim`), also from under open
 * pages: a build's scripts lie in a folder named after a digest of its content, so an address means
 * the same bytes for ever, whoever answers. A page of the old build asks for the old folder, which
 * the network or the shell before this one still has (one is kept for that), and a page of the new
 * build for the new folder; they can't be mixed. Waiting would only keep the old build alive until
 * the last tab is closed.
 *
 * A classic script, since not all browsers take modules here.
 */

/** Put in by scripts/stamp.sh: the digest of what follows, so that browsers notice a new build. */
const BUILD = "unstamped";
/** The name of the folder of scripts. */
const APP = "app";
/** All files of the shell, relative to this one. @type {string[]} */
const FILES = [];

/** How long the network may take over the page before the shell steps in, in milliseconds. */
const PATIENCE = 3_000;

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const scope = new URL("./", worker.location.href);
// All pages of a host share one storage: the folder in the names tells them apart.
const SHELLS = `neural-songwriter shell ${scope.pathname} `;
const SHELL = SHELLS + BUILD;
/** app/store.js says the same once more. */
const DOWNLOADS = `neural-songwriter downloads ${scope.pathname}models/`;

worker.addEventListener("install", (event) => {
  event.waitUntil(fill().then(() => worker.skipWaiting()));
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(tidy().then(() => worker.clients.claim()));
});

async function fill() {
  const shell = await caches.open(SHELL);
  await Promise.all(
    FILES.map(async (file) => {
      const url = new URL(file, scope);
      if (await shell.match(url)) return;
      const isForever = file.startsWith(`${APP}/`);
      const response = await fetch(url, { cache: isForever ? "default" : "no-cache" });
      if (!response.ok) throw new Error(`${file}: the server answered ${response.status}`);
      const body = await response.blob();
      // A page newer than this script, deployed a moment ago: the browser will be back for both.
      if (file === "./" && !(await body.text()).includes(`"${APP}/`)) throw new Error("not the page of this build");
      // Without where it came from: a browser takes no page that has been through a redirection.
      const headers = { "content-type": response.headers.get("content-type") ?? body.type };
      await shell.put(url, new Response(body, { headers }));
    }),
  );
}

/** Deletes old shells, but for the one before this: a tab may still run it. */
async function tidy() {
  const shells = (await caches.keys()).filter((name) => name.startsWith(SHELLS) && name !== SHELL);
  // In the order in which they were made.
  await Promise.all(shells.slice(0, -1).map((name) => caches.delete(name)));
}

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || !url.href.startsWith(scope.href) || request.headers.has("range")) return;
  const path = url.pathname.slice(scope.pathname.length);
  if (request.mode === "navigate" && (path === "" || path === "index.html")) {
    // Whatever it asks for with `?`, it is one page.
    event.respondWith(networkFirst(request, scope, SHELL));
  } else if (/^models\/[^/]+\/manifest\.json$/.test(path)) {
    event.respondWith(networkFirst(request, url, DOWNLOADS));
  } else if (request.cache !== "reload") {
    event.respondWith(keptFirst(request));
  }
});

/**
 * The network's answer, or what is kept if that fails or takes too long.
 * @param {Request} request @param {URL} key @param {string} cacheName
 */
async function networkFirst(request, key, cacheName) {
  const kept = await caches.match(key, { cacheName, ignoreVary: true }).catch(() => undefined);
  if (!kept) return fetch(request);
  const answer = fetch(request).then((response) => {
    // A redirection is for the browser to follow.
    if (!response.ok && response.type !== "opaqueredirect") throw new Error(`the server answered ${response.status}`);
    return response;
  });
  // Whoever comes late is not missed.
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, kept));
  return Promise.race([answer, late]).catch(() => kept);
}

/** What is kept, or the network's answer. @param {Request} request */
async function keptFirst(request) {
  const names = [SHELL, DOWNLOADS, ...(await caches.keys().catch(() => [])).filter((name) => name.startsWith(SHELLS))];
  for (const cacheName of names) {
    const kept = await caches.match(request, { cacheName, ignoreVary: true }).catch(() => undefined);
    if (kept) return kept;
  }
  return fetch(request);
}

/** Serves dist/ from a sub-folder, as a static host would: the page must not care where it is. */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const FOLDER = "/some/where/songs/";
const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".jpg": "image/jpeg",
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
  // No .wasm: some hosts don't know it either.
};
/** What a static host compresses on the way. */
const COMPRESSED = /\.(css|html|js|json|svg|webmanifest)$/;

/** Where the built page lies. */
export const DIST = process.env.DIST ?? fileURLToPath(new URL("../../dist", import.meta.url));

/**
 * @typedef {object} Site
 * @property {string} url
 * @property {string} origin
 * @property {{path: string, status: number, bytes: number, time: number, range?: string}[]} log what
 *   was asked for, when (as `Date.now()` says), and how many bytes of a body went out
 * @property {(pattern: RegExp) => number} bytes sent for paths like this, up to now
 * @property {boolean} isOffline hangs up on everybody; can be switched
 * @property {string} root the folder that is served; can be switched
 * @property {() => void} close
 *
 * @param {object} options
 * @param {(path: string, body: Buffer) => Buffer | null} [options.alter] may change what is sent, or
 *   send nothing (404) with null
 * @param {boolean} [options.ranges] whether a part of a file can be asked for
 * @param {(path: string, asked: number) => number | null} [options.cut] after how many bytes of a
 *   body to hang up; `asked` counts the requests for this path, from 1
 * @param {string} [options.root]
 * @returns {Promise<Site>}
 */
export async function serveSite({ alter = (_, body) => body, ranges = true, cut = () => null, root = DIST } = {}) {
  /** @type {Map<string, number>} */
  const asked = new Map();
  /** What the build tells hosts to send, in the form that several of them read. */
  const told = Object.fromEntries(
    (await readFile(join(root, "_headers"), "utf8"))
      .split("\n")
      .filter((line) => line.startsWith("  "))
      .map((line) => line.trim().split(/: (.*)/).slice(0, 2)),
  );
  const server = createServer(async (request, response) => {
    if (site.isOffline) return request.socket.destroy();
    const path = decodeURIComponent(new URL(request.url, "http://host").pathname);
    const inside = path.startsWith(FOLDER) ? path.slice(FOLDER.length) || "index.html" : null;
    const entry = { path: inside ?? path, status: 404, bytes: 0, time: Date.now(), range: request.headers.range };
    site.log.push(entry);
    let body = null;
    if (inside !== null) {
      const file = join(site.root, normalize(`/${inside}`));
      body = await readFile(file).catch(() => null);
      if (body) body = alter(inside, body);
    }
    if (!body) return response.writeHead(404).end("not found");
    const headers = {
      ...told,
      "content-type": TYPES[extname(inside)] ?? "application/octet-stream",
      "cache-control": "no-store",
    };
    entry.status = 200;
    if (COMPRESSED.test(inside) && request.headers["accept-encoding"]?.includes("gzip")) {
      body = gzipSync(body);
      headers["content-encoding"] = "gzip";
      headers.vary = "accept-encoding";
    } else if (ranges) {
      headers.etag = `"${createHash("sha256").update(body).digest("hex").slice(0, 16)}"`;
      headers["accept-ranges"] = "bytes";
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? NaN);
      const condition = request.headers["if-range"];
      if (from < body.length && (!condition || condition === headers.etag)) {
        entry.status = 206;
        headers["content-range"] = `bytes ${from}-${body.length - 1}/${body.length}`;
        body = body.subarray(from);
      }
    }
    headers["content-length"] = body.length;
    response.writeHead(entry.status, headers);
    asked.set(inside, (asked.get(inside) ?? 0) + 1);
    const end = cut(inside, asked.get(inside));
    if (end === null || end >= body.length) {
      entry.bytes = body.length;
      return response.end(body);
    }
    entry.bytes = end;
    response.write(body.subarray(0, end), () => request.socket.destroySoon());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const site = {
    origin,
    url: origin + FOLDER,
    log: [],
    bytes: (pattern) => site.log.reduce((sum, { path, bytes }) => sum + (pattern.test(path) ? bytes : 0), 0),
    isOffline: false,
    root,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return site;
}

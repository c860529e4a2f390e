/** Serves dist/ from a sub-folder, as a static host would: the page must not care where it is. */
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = "/some/where/songs/";
const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".jpg": "image/jpeg",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  // No .wasm: some hosts don't know it either.
};

/** Where the built page lies. */
export const DIST = process.env.DIST ?? fileURLToPath(new URL("../../dist", import.meta.url));

/**
 * @param {{alter?: (path: string, body: Buffer) => Buffer | null}} options `alter` may change what
 *   is sent, or send nothing (404) with null
 * @returns {Promise<{url: string, origin: string, close: () => void}>}
 */
export async function serveSite({ alter = (_, body) => body } = {}) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://host").pathname);
    const inside = path.startsWith(FOLDER) ? path.slice(FOLDER.length) || "index.html" : null;
    let body = null;
    if (inside !== null) {
      const file = join(DIST, normalize(`/${inside}`));
      body = await readFile(file).catch(() => null);
      if (body) body = alter(inside, body);
    }
    if (!body) return response.writeHead(404).end("not found");
    response.writeHead(200, {
      "content-type": TYPES[extname(inside)] ?? "application/octet-stream",
      "content-length": body.length,
      "cache-control": "no-store",
    });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    origin,
    url: origin + FOLDER,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/**
 * Downloads that don't give up at the first trouble: one that breaks off goes on where it was, if
 * the server can do that, and starts again if not.
 */
import { Failure } from "./failure.js";

/** How long to wait before the next try, in milliseconds; when they are used up, the download has failed. */
const PAUSES = [400, 1200, 3000];
/** How long a server may say nothing before that counts as broken off, in milliseconds. */
const SILENCE = 25_000;

/** A failure that may have passed a moment later. */
class PassingFailure extends Failure {}

/** @param {URL} url */
const nameOf = (url) => url.pathname.split("/").slice(-2).join("/");

/** @param {URL} url */
const unreachable = (url) =>
  new PassingFailure("offline", `${nameOf(url)} could not be downloaded. Check the connection and try again.`);

/** @param {URL} url */
const brokenOff = (url) =>
  new PassingFailure("broken-off", `The download of ${nameOf(url)} broke off. Check the connection and try again.`);

/** @param {URL} url @param {number} status */
function refused(url, status) {
  const Kind = status >= 500 || status === 408 || status === 429 ? PassingFailure : Failure;
  return new Kind(
    "http",
    `${nameOf(url)} could not be downloaded (the server answered ${status}). Try again later.`,
  );
}

/**
 * Tries until it works, the failure is one that stays, or the tries are used up.
 * @template Result
 * @param {() => Promise<Result>} attempt
 * @param {{onWait?: () => void, madeProgress?: () => boolean}} more `madeProgress`: whether the last
 *   try has got further than all before it; then the pauses begin anew
 * @returns {Promise<Result>}
 */
async function patiently(attempt, { onWait = () => {}, madeProgress = () => false } = {}) {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (madeProgress()) tries = 0;
      if (!(error instanceof PassingFailure) || tries >= PAUSES.length || navigator.onLine === false) throw error;
      onWait();
      await new Promise((resolve) => setTimeout(resolve, PAUSES[tries]));
    }
  }
}

/**
 * A small file, as it is.
 * @param {URL} url
 * @param {{cache: RequestCache, onWait?: () => void, once?: boolean}} how `once`: a single try
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export function fetchSmall(url, { cache, onWait, once = false }) {
  const attempt = async () => {
    const signal = AbortSignal.timeout(SILENCE);
    const response = await fetch(url, { cache, signal }).catch(() => {
      throw unreachable(url);
    });
    if (!response.ok) throw refused(url, response.status);
    return new Uint8Array(
      await response.arrayBuffer().catch(() => {
        throw brokenOff(url);
      }),
    );
  };
  return once ? attempt() : patiently(attempt, { onWait });
}

/**
 * A large file whose size is known.
 * @param {URL} url
 * @param {{size: number, cache: RequestCache, onBytes: (count: number) => void, onWait: () => void}} how
 *   `onBytes` hears of bytes as they come, and of those that have to come again as a negative number
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function fetchLarge(url, { size, cache, onBytes, onWait }) {
  const bytes = new Uint8Array(size);
  let received = 0;
  let furthest = 0;
  /** Whether what is there can be gone on from, and what the server calls this version of the file. */
  let canResume = false;
  let version = "";

  const restart = () => {
    onBytes(-received);
    received = 0;
  };

  const attempt = async () => {
    /** @type {Record<string, string>} */
    const headers = {};
    if (!canResume) restart();
    if (received > 0) {
      headers.range = `bytes=${received}-`;
      // The rest only if it is the rest of the same file. A server that gives its files no names
      // may mix two of them: the digest will tell.
      if (version) headers["if-range"] = version;
    }
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE);
    try {
      const options = { cache: received > 0 ? "no-store" : cache, headers, signal: silence.signal };
      const response = await fetch(url, /** @type {RequestInit} */ (options)).catch(() => {
        throw received > 0 ? brokenOff(url) : unreachable(url);
      });
      if (received > 0) {
        const goesOn = response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${received}-`);
        if (!goesOn) {
          restart();
          // All of it is as good; anything else is an answer to a question not asked again.
          if (response.status !== 200) throw response.ok || response.status === 416 ? brokenOff(url) : refused(url, response.status);
        }
      }
      if (!response.ok || !response.body) throw refused(url, response.status);
      const etag = response.headers.get("etag");
      version = etag && !etag.startsWith("W/") ? etag : (response.headers.get("last-modified") ?? "");
      // Ranges of a compressed file count other bytes than ours.
      canResume = !response.headers.get("content-encoding");
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read().catch(() => {
          throw brokenOff(url);
        });
        if (done) break;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE);
        if (received + value.length > size) {
          reader.cancel().catch(() => {});
          restart();
          throw new Failure("damaged", `${nameOf(url)} is longer than it should be. Try again later.`);
        }
        bytes.set(value, received);
        received += value.length;
        onBytes(value.length);
      }
      if (received < size) throw brokenOff(url);
      return bytes;
    } finally {
      clearTimeout(timer);
    }
  };

  const madeProgress = () => {
    const more = received > furthest && canResume;
    furthest = Math.max(furthest, received);
    return more;
  };
  return patiently(attempt, { onWait, madeProgress });
}

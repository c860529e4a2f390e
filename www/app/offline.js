/**
 * Asks the browser to keep the page for when there is no network; see sw.js for how.
 */

import { scriptAddress } from "./trusted.js";

/** Where the browser can't or won't, the page works as long as there is a network. */
export async function keepForOffline() {
  try {
    // Past the browser's cache, so that a new version is noticed on the next visit.
    await navigator.serviceWorker?.register(scriptAddress(new URL("sw.js", document.baseURI)), { updateViaCache: "none" });
  } catch (error) {
    console.info("The page is not kept for offline use:", error);
  }
}
